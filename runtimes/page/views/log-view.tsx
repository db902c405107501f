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
  const t = words.value.logs;
  const read = async () => {
    if ((await store.readEarlierLines()) === 0) actions.say(t.noEarlier);
  };
  return <ReadingButton name={t.earlier} read={read} />;
}

/** Every line that the engine still has, as a file. */
function DownloadButton() {
  const { store } = useDevice();
  const read = async () => {
    const name = store.about.value?.name || "device";
    const answer = new Response(await store.client.serviceLogs({ params: { tail: "all" } }));
    saveFile(`${name}.log`, toText(await answer.text()));
  };
  return <ReadingButton name={words.value.logs.download} read={read} />;
}

/** Says that it reads until the lines are there, and why they are not. */
function ReadingButton({ name, read }: { readonly name: string; readonly read: () => Promise<void> }) {
  const { store, actions } = useDevice();
  const isReading = useSignal(false);
  const press = async () => {
    isReading.value = true;
    await read().catch((error: unknown) => actions.say(words.value.done.failed(name, whyOf(error)), true));
    isReading.value = false;
  };
  return (
    <Button disabled={isReading.value || !store.isFresh.value} onClick={() => void press()}>
      {isReading.value ? words.value.reading : name}
    </Button>
  );
}

/** The service that the address names: `…/logs/web`. */
function inRoute(): string | undefined {
  const [, name] = /\/logs\/([^/]+)$/.exec(route.value) ?? [];
  return name === undefined ? undefined : decodeURIComponent(name);
}
