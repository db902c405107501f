import { duration, shortCommit } from "../format.ts";
import { now } from "../live/clock.ts";
import { runningOf, type Mark as MarkKind } from "../live/marks.ts";
import { ActionButton, Button } from "../parts/button.tsx";
import { Mark } from "../parts/mark.tsx";
import { Menu } from "../parts/menu.tsx";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";

/** Which device this is, how it is, and what can be done with it as a whole. */
export function DeviceHeader({ mark }: { readonly mark: MarkKind }) {
  const { store, can, actions } = useDevice();
  const t = words.value;
  const { name, type, addresses } = store.about.value ?? { name: "", type: "", addresses: [] };
  const state = store.state.value;
  const lacks = store.hello.value?.lacks ?? {};
  const isInert = !store.mayAct.value;
  const { running, all } = runningOf(state?.apps ?? []);
  const [app, ...others] = state?.apps ?? [];
  const bootedAt = store.bootedAt.value;
  const up = bootedAt === undefined ? "" : t.device.up(duration(now.value - bootedAt));
  const facts = [type, ...addresses, up].filter(Boolean);
  return (
    <header class="device">
      <div class="device-name">
        <Mark is={mark} />
        <h1>{name || t.device.unnamed}</h1>
        {all > 0 && (
          <p>
            {app && others.length === 0 && <code>{shortCommit(app.commit)}</code>}
            <span>{t.device.running(running, all)}</span>
          </p>
        )}
      </div>
      <p class="facts">
        {facts.map((fact) => (
          <span key={fact}>{fact}</span>
        ))}
        <span class={store.isFresh.value ? "live" : "stale"}>
          {store.isFresh.value ? t.link.live : store.link.value.is === "loading" ? t.reading : t.link.stale}
        </span>
      </p>
      <div class="row device-actions">
        <ActionButton action={can.blink()} disabled={lacks["led"] !== undefined}>
          {t.act.blink}
        </ActionButton>
        <ActionButton action={can.update()}>{t.act.update}</ActionButton>
        <Menu label={t.act.more(name || t.device.unnamed)}>
          {(state?.apps ?? []).map((one) => (
            <Button key={one.appId} kind="quiet" disabled={isInert} onClick={() => actions.ask(can.askRestart(one))}>
              {t.act.restartApp(one.name)} …
            </Button>
          ))}
          <Button
            kind="quiet"
            disabled={isInert || lacks["power"] !== undefined}
            title={lacks["power"]}
            onClick={() => actions.ask(can.askReboot())}
          >
            {t.act.reboot} …
          </Button>
          <Button
            kind="quiet"
            disabled={isInert || lacks["power"] !== undefined}
            title={lacks["power"]}
            onClick={() => actions.ask(can.askShutdown())}
          >
            {t.act.shutdown} …
          </Button>
          {(state?.apps ?? []).map((one) => (
            <PurgeButton key={one.appId} app={one} />
          ))}
        </Menu>
      </div>
    </header>
  );
}

/** The dialog names the volumes: whoever types the name has read what goes. */
function PurgeButton({ app }: { readonly app: { readonly appId: number; readonly name: string } }) {
  const { store, can, actions } = useDevice();
  const ask = async () => {
    const plan = await store.client.plan({ params: { appId: app.appId } }).catch(() => undefined);
    actions.ask(can.askPurge(app, plan?.volumes.map(({ name }) => name) ?? []));
  };
  return (
    <Button kind="quiet" disabled={!store.mayAct.value} onClick={() => void ask()}>
      {words.value.act.purge(app.name)} …
    </Button>
  );
}
