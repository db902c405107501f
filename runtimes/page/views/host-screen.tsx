import { ActionButton } from "../parts/button.tsx";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";
import { HostForm } from "./host-form.tsx";

/** The machine: what it is, its name and proxy, its LED, its journal, and what it cannot do. */
export function HostScreen() {
  const { store, can, view, base } = useDevice();
  const t = words.value.host;
  const { uuid = "", version = "", lacks = {} } = store.hello.value ?? {};
  const about = store.about.value;
  const facts = [
    [t.uuid, uuid],
    [t.type, about?.type],
    [t.arch, about?.arch],
    [t.os, about?.os],
    [t.addresses, about?.addresses.join(", ")],
    [t.version, version],
  ] as const;
  return (
    <div class="screen">
      <section>
        <h2>{t.facts}</h2>
        <dl class="facts-list">
          {facts.map(([name, value]) => (
            <div key={name} class="fact">
              <dt>{name}</dt>
              <dd>{value || "–"}</dd>
            </div>
          ))}
        </dl>
      </section>
      <HostForm />
      <section>
        <h2>{t.led}</h2>
        <p class="faint">{lacks["led"] ?? t.ledHelp}</p>
        <div class="row">
          <ActionButton action={can.blink()} disabled={lacks["led"] !== undefined}>
            {words.value.act.blink}
          </ActionButton>
        </div>
      </section>
      <section>
        <h2>{words.value.logs.journalOfHost}</h2>
        {lacks["journal"] !== undefined ? (
          <p class="faint">{lacks["journal"]}</p>
        ) : (
          <div class="row">
            <a class="button" href={`#${base}logs`} onClick={() => (view.showsJournal.value = true)}>
              {words.value.logs.showJournal}
            </a>
          </div>
        )}
      </section>
      <section>
        <h2>{t.lacks}</h2>
        {Object.keys(lacks).length === 0 && <p class="faint">{t.lacksNothing}</p>}
        <ul class="lines">
          {Object.entries(lacks).map(([name, why]) => (
            <li key={name}>
              <strong>{t.capabilities[name] ?? name}</strong>: {why}
            </li>
          ))}
        </ul>
      </section>
    </div>
  );
}
