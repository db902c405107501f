import type { AppState, ServiceState } from "../live/device-store.ts";
import { shortCommit, withShortImages } from "../format.ts";
import { markOfService, problemsOf } from "../live/marks.ts";
import { ActionButton } from "../parts/button.tsx";
import { Mark } from "../parts/mark.tsx";
import { Menu } from "../parts/menu.tsx";
import { Age } from "../parts/since.tsx";
import { counted, words } from "../words.ts";
import { useDevice } from "./context.ts";

/** The services of an application, each with its state and its actions. Cards on a narrow screen. */
export function ServicesTable({ app }: { readonly app: AppState }) {
  const t = words.value.device;
  return (
    <section class="app">
      <h2>
        {app.name} <code>{shortCommit(app.commit)}</code>
      </h2>
      <table class="services">
        <thead>
          <tr>
            <th scope="col">{t.service}</th>
            <th scope="col">{t.status}</th>
            <th scope="col">{t.image}</th>
            <th scope="col">{t.age}</th>
            <th scope="col">
              <span class="hidden">{t.actions}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {Object.entries(app.services).map(([name, service]) => (
            <ServiceRow key={name} app={app} name={name} service={service} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function ServiceRow({
  app,
  name,
  service,
}: {
  readonly app: AppState;
  readonly name: string;
  readonly service: ServiceState;
}) {
  const { store, can, base } = useDevice();
  const t = words.value;
  const mark = markOfService(service, problemsOf(store.state.value?.problems ?? [], app.appId, name));
  const isRunning = service.status === "Running";
  return (
    <tr>
      <th scope="row">
        <Mark is={mark} />
        {name}
      </th>
      <td class="status">
        <Status service={service} />
        {service.ports?.map((port) => (
          <PortLink key={port} port={port} isHere={base === "/"} />
        ))}
      </td>
      <td class="image">
        <code title={service.image}>{withShortImages(service.image)}</code>
      </td>
      <td class="age">{service.startedAt !== undefined && <Age at={Date.parse(service.startedAt)} />}</td>
      <td class="row end">
        {!store.isOlder.value && (
          <a class="button" href={`#${base}logs/${encodeURIComponent(name)}`} aria-label={`${t.act.logs}: ${name}`}>
            {t.act.logs}
          </a>
        )}
        <Menu label={t.act.more(name)}>
          {isRunning ? (
            <>
              <ActionButton kind="quiet" action={can.service("restart", app, name)}>
                {t.act.restart}
              </ActionButton>
              <ActionButton kind="quiet" action={can.service("stop", app, name)}>
                {t.act.stop}
              </ActionButton>
            </>
          ) : (
            <ActionButton kind="quiet" action={can.service("start", app, name)}>
              {t.act.start}
            </ActionButton>
          )}
        </Menu>
      </td>
    </tr>
  );
}

/** What a service offers to others. Only on the page of the device itself is its address known to the browser. */
function PortLink({ port, isHere }: { readonly port: number; readonly isHere: boolean }) {
  const scheme = port === 443 || port === 8443 ? "https" : "http";
  return isHere ? (
    <>
      {" "}
      <a
        href={`${scheme}://${location.hostname}:${port}/`}
        target="_blank"
        rel="noreferrer"
        aria-label={words.value.device.port(port)}
      >
        :{port}
      </a>
    </>
  ) : (
    <small> :{port}</small>
  );
}

function Status({ service }: { readonly service: ServiceState }) {
  const t = words.value;
  const { status, downloadProgress, health, restarts, exitCode } = service;
  const word = t.statuses[status] ?? status;
  if (downloadProgress !== null && downloadProgress < 100)
    return (
      <>
        <progress max={100} value={downloadProgress} aria-label={word} /> {downloadProgress} %
      </>
    );
  const more = [
    ...(health && health !== "healthy" ? [t.health[health]] : []),
    ...(exitCode !== undefined ? [t.device.exitCode(exitCode)] : []),
    ...(restarts !== undefined ? [counted(restarts, t.device.restarts)] : []),
  ];
  return <>{[word, ...more].join(", ")}</>;
}
