import { useEffect, useMemo, useRef } from "preact/hooks";
import { signal, useSignal } from "@preact/signals";
import { createCloudClient } from "../../../core/client/index.ts";
import { Actions } from "../live/actions.ts";
import { route } from "../live/route.ts";
import type { Visibility } from "../live/visibility.ts";
import { Button } from "../parts/button.tsx";
import { Notices } from "../parts/notices.tsx";
import { QuestionDialog } from "../parts/question-dialog.tsx";
import { useAnswer } from "../views/use-answer.ts";
import { words } from "../words.ts";
import { AddScreen } from "./add-screen.tsx";
import { AuditScreen } from "./audit-screen.tsx";
import { BulkOperation } from "./bulk-operation.ts";
import { Fleets, useFleets, type Fleet, type FleetContext, type Who } from "./context.ts";
import { DevicesScreen } from "./devices-screen.tsx";
import { FleetDevice } from "./fleet-device.tsx";
import { ReleasesScreen } from "./releases-screen.tsx";
import { fleetScreens, pathOf, placeOf, type FleetScreen } from "./routes.ts";
import { signOut } from "./session.ts";
import { TokensScreen } from "./tokens-screen.tsx";
import { VariablesScreen } from "./variables-screen.tsx";
import { fleetWords } from "./words.ts";

/** Everything that a session sees of a cloud. */
export function FleetsView({ token, visibility }: { readonly token: string; readonly visibility: Visibility }) {
  const count = useSignal(0);
  const known = useMemo(() => {
    const send = (request: Request) => fetch(request, { credentials: "omit" });
    const clientOf = (fetch: typeof send, more: { readonly retries?: number } = {}) =>
      createCloudClient({
        ...{ baseUrl: location.origin, key: token, fetch, ...more },
        check: (_, { status }) => {
          if (status === 401) signOut(fleetWords.peek().login.ended);
        },
      });
    const cloud = clientOf(send);
    return {
      ...{ cloud, admin: cloud.admin, live: clientOf(visibility.while(send)), once: clientOf(send, { retries: 0 }) },
      ...{ visibility, actions: new Actions(), bulk: new BulkOperation(), typedFilter: signal("") },
    };
  }, [token]);
  useEffect(() => () => known.bulk.cancel(), [known]);
  const { value, fault } = useAnswer(
    async () => ({ who: await known.admin.whoami(), fleets: await known.admin.fleets() }),
    [known, count.value],
  );
  const place = placeOf(route.value);
  const isDevice = place.is === "device";
  useEffect(() => {
    if (!isDevice) document.title = `Fairlead · ${fleetWords.value.title}`;
  }, [isDevice, fleetWords.value]);
  if (!value)
    return (
      <main>
        {fault === undefined ? <p class="faint">{words.value.reading}</p> : <p class="bar failing">{fault}</p>}
      </main>
    );
  const context: FleetContext = { ...known, ...value, renew: () => count.value++ };
  const fleet = place.is === "fleet" ? value.fleets.find(({ id }) => id === place.id) : value.fleets[0];
  return (
    <Fleets.Provider value={context}>
      {place.is === "device" ? (
        <FleetDevice key={place.uuid} uuid={place.uuid} token={token} onRefused={(why) => signOut(why)} />
      ) : (
        <>
          <Head
            {...{ fleet, who: value.who, fleets: value.fleets }}
            screen={place.is === "fleet" ? place.screen : "devices"}
          />
          <main id="main" tabIndex={-1}>
            {fleet ? (
              <Screen
                key={`${fleet.id}`}
                fleet={fleet}
                screen={place.is === "fleet" ? place.screen : "devices"}
                rest={place.is === "fleet" ? place.rest : ""}
              />
            ) : (
              <p class="empty">{fleetWords.value.noFleets}</p>
            )}
          </main>
        </>
      )}
      <Notices actions={known.actions} />
      <QuestionDialog actions={known.actions} />
    </Fleets.Provider>
  );
}

function Screen({
  fleet,
  screen,
  rest,
}: {
  readonly fleet: Fleet;
  readonly screen: FleetScreen;
  readonly rest: string;
}) {
  switch (screen) {
    case "devices":
      return <DevicesScreen fleet={fleet} />;
    case "releases":
      return <ReleasesScreen fleet={fleet} />;
    case "variables":
      return <VariablesScreen fleet={fleet} uuid={rest === "" ? undefined : rest} />;
    case "add":
      return <AddScreen fleet={fleet} />;
    case "tokens":
      return <TokensScreen fleet={fleet} />;
    case "audit":
      return <AuditScreen fleet={fleet} />;
  }
}

/** Only for who may manage. */
const managing: ReadonlySet<FleetScreen> = new Set(["tokens", "audit"]);

function Head({
  fleet,
  fleets,
  who,
  screen,
}: {
  readonly fleet: Fleet | undefined;
  readonly fleets: readonly Fleet[];
  readonly who: Who;
  readonly screen: FleetScreen;
}) {
  const { typedFilter } = useFleets();
  const tabs = useRef<HTMLElement>(null);
  // On a phone, the tab of a screen may be outside of the row.
  useEffect(() => {
    tabs.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [screen]);
  const t = fleetWords.value.nav;
  const choose = (id: number) => {
    typedFilter.value = "";
    location.hash = pathOf(id, screen);
  };
  return (
    <>
      <header class="fleet-head row">
        {fleet && (
          <>
            <h1 class={fleets.length > 1 ? "hidden" : undefined}>{fleet.name}</h1>
            {fleets.length > 1 && (
              <label>
                <span class="hidden">{t.fleet}</span>
                <select
                  class="fleet-name"
                  value={fleet.id}
                  onChange={(event) => choose(Number(event.currentTarget.value))}
                >
                  {fleets.map(({ id, name }) => (
                    <option key={id} value={id}>
                      {name}
                    </option>
                  ))}
                </select>
              </label>
            )}
          </>
        )}
        {!fleet && <h1>{fleetWords.value.title}</h1>}
        <span class="space" />
        <Button kind="quiet" onClick={() => signOut()}>
          {t.leave}
        </Button>
      </header>
      {fleet && (
        <nav class="tabs" aria-label={t.label} ref={tabs}>
          {fleetScreens
            .filter((one) => who.manage || !managing.has(one))
            .map((one) => (
              <a key={one} href={pathOf(fleet.id, one)} aria-current={one === screen ? "page" : undefined}>
                {t[one]}
              </a>
            ))}
        </nav>
      )}
    </>
  );
}
