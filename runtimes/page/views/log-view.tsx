import { signal, useSignal } from "@preact/signals";
import { whyOf } from "../live/actions.ts";
import { saveFile, toText } from "../live/log-file.ts";
import { route } from "../live/route.ts";
import { Button } from "../parts/button.tsx";
import { LogPanel } from "../parts/log-panel.tsx";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";

/** What is typed in the filter, kept across screens. */
const text = signal("");
/** The chosen service; empty: the agent; undefined: all. */
const chosen = signal<string | undefined>(undefined);

/** The log with its choice of services and its filter. */
export function LogView({ isWhole = false }: { readonly isWhole?: boolean }) {
  const { store } = useDevice();
  const t = words.value.logs;
  const services = [...new Set((store.state.value?.apps ?? []).flatMap((app) => Object.keys(app.services)))];
  const filter = { service: isWhole ? (inRoute() ?? chosen.value) : chosen.value, text: text.value };
  return (
    <section class={isWhole ? "logs whole" : "logs"}>
      <div class="row log-head">
        <h2>{t.title}</h2>
        <ServiceChoice services={services} value={filter.service} />
        {isWhole && <DownloadButton />}
        <input
          type="search"
          class="log-filter"
          aria-label={t.filter}
          placeholder={`${t.filter}  /`}
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
      </div>
      <LogPanel lines={store.logs} filter={filter} label={t.title} />
    </section>
  );
}

function ServiceChoice({
  services,
  value,
}: {
  readonly services: readonly string[];
  readonly value: string | undefined;
}) {
  const t = words.value.logs;
  const { base } = useDevice();
  const choose = (service: string | undefined) => {
    chosen.value = service;
    if (inRoute() !== undefined) location.hash = `#${base}logs`;
  };
  const options = [
    { name: t.all, service: undefined },
    ...services.map((service) => ({ name: service, service })),
    { name: t.agent, service: "" },
  ];
  return (
    <div class="choice" role="group" aria-label={t.services}>
      {options.map(({ name, service }) => (
        <button key={name} type="button" aria-pressed={service === value} onClick={() => choose(service)}>
          {name}
        </button>
      ))}
    </div>
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
