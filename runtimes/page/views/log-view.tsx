import { useSignal } from "@preact/signals";
import { whyOf } from "../live/actions.ts";
import { saveFile, toText } from "../live/log-file.ts";
import { route } from "../live/route.ts";
import { Button } from "../parts/button.tsx";
import { Choice } from "../parts/choice.tsx";
import { LogPanel } from "../parts/log-panel.tsx";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";
import { JournalView } from "./journal-view.tsx";

/** The log with its choice of services and its filter; as a screen of its own, also what is older, and the host's journal. */
export function LogView({ isWhole = false }: { readonly isWhole?: boolean }) {
  const { store, view } = useDevice();
  const t = words.value.logs;
  const showsJournal = isWhole && view.showsJournal.value && inRoute() === undefined;
  const service = isWhole ? (inRoute() ?? view.service.value) : view.service.value;
  return (
    <section class={isWhole ? "logs whole" : "logs"}>
      <div class="row log-head">
        <h2>{t.title}</h2>
        <SourceChoice isWhole={isWhole} service={service} showsJournal={showsJournal} />
        {isWhole && !showsJournal && <EarlierButton />}
        {isWhole && !showsJournal && <DownloadButton />}
        {!showsJournal && (
          <input
            type="search"
            class="log-filter"
            aria-label={t.filter}
            placeholder={`${t.filter}  /`}
            value={view.filter.value}
            onInput={(event) => (view.filter.value = event.currentTarget.value)}
          />
        )}
      </div>
      {showsJournal ? (
        <JournalView />
      ) : (
        <LogPanel lines={store.logs} filter={{ service, text: view.filter.value }} label={t.title} />
      )}
    </section>
  );
}

function SourceChoice({
  isWhole,
  service: chosen,
  showsJournal,
}: {
  readonly isWhole: boolean;
  readonly service: string | undefined;
  readonly showsJournal: boolean;
}) {
  const t = words.value.logs;
  const { base, store, view } = useDevice();
  const services = [...new Set((store.state.value?.apps ?? []).flatMap((app) => Object.keys(app.services)))];
  const hasJournal = isWhole && store.hello.value?.lacks["journal"] === undefined;
  const leaveRoute = () => {
    if (inRoute() !== undefined) location.hash = `#${base}logs`;
  };
  const ofLog = (name: string, service: string | undefined) => ({
    name,
    isChosen: !showsJournal && service === chosen,
    choose: () => {
      view.service.value = service;
      view.showsJournal.value = false;
      leaveRoute();
    },
  });
  const journal = {
    name: t.journal,
    isChosen: showsJournal,
    choose: () => {
      view.showsJournal.value = true;
      leaveRoute();
    },
  };
  const options = [
    ofLog(t.all, undefined),
    ...services.map((service) => ofLog(service, service)),
    ofLog(t.agent, ""),
    ...(hasJournal ? [journal] : []),
  ];
  return <Choice label={t.services} options={options} />;
}

/** Puts lines above those that the stream has given. */
function EarlierButton() {
  const { store, actions } = useDevice();
  const isReading = useSignal(false);
  const t = words.value.logs;
  const read = async () => {
    isReading.value = true;
    try {
      if ((await store.readEarlierLines()) === 0) actions.say(t.noEarlier);
    } catch (error) {
      actions.say(words.value.done.failed(t.earlier, whyOf(error)), true);
    }
    isReading.value = false;
  };
  return (
    <Button disabled={isReading.value || !store.isFresh.value} onClick={() => void read()}>
      {isReading.value ? words.value.reading : t.earlier}
    </Button>
  );
}

/** Every line that the engine still has, as a file. */
function DownloadButton() {
  const { store, actions } = useDevice();
  const isReading = useSignal(false);
  const t = words.value.logs;
  const save = async () => {
    isReading.value = true;
    try {
      const name = store.about.value?.name || "device";
      saveFile(
        `${name}.log`,
        toText(await new Response(await store.client.serviceLogs({ params: { tail: "all" } })).text()),
      );
    } catch (error) {
      actions.say(words.value.done.failed(t.download, whyOf(error)), true);
    }
    isReading.value = false;
  };
  return (
    <Button disabled={isReading.value || !store.isFresh.value} onClick={() => void save()}>
      {isReading.value ? words.value.reading : t.download}
    </Button>
  );
}

/** The service that the address names: `…/logs/web`. */
function inRoute(): string | undefined {
  const [, name] = /\/logs\/([^/]+)$/.exec(route.value) ?? [];
  return name === undefined ? undefined : decodeURIComponent(name);
}
