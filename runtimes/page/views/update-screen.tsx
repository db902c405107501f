import type { DeviceClient } from "../../../core/client/index.ts";
import { bytes, shortCommit } from "../format.ts";
import type { AppState } from "../live/device-store.ts";
import type { Mark as MarkKind } from "../live/marks.ts";
import { ActionButton, Button } from "../parts/button.tsx";
import { Mark } from "../parts/mark.tsx";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";
import { LockList } from "./lock-list.tsx";
import { PlanTable } from "./plan-table.tsx";
import { useAnswer } from "./use-answer.ts";

type Update = Awaited<ReturnType<DeviceClient["updateState"]>>;

/** Why something is as it is: where each update stands, what it waits for, what it changes, and who holds locks. */
export function UpdateScreen() {
  const { store } = useDevice();
  const apps = store.state.value?.apps ?? [];
  return (
    <div class="screen">
      {apps.length === 0 && <p class="faint">{words.value.update.noApps}</p>}
      {apps.map((app) => (
        <AppUpdate key={app.appId} app={app} />
      ))}
      <LockList />
    </div>
  );
}

const marks: Readonly<Record<Update["state"], MarkKind>> = {
  steady: "well",
  preparing: "working",
  waiting: "waiting",
  trying: "working",
  paused: "waiting",
  goingBack: "failing",
  rejected: "failing",
};

function AppUpdate({ app }: { readonly app: AppState }) {
  const { store } = useDevice();
  const t = words.value.update;
  const params = { appId: app.appId };
  const causes = [store.state.value, store];
  const update = useAnswer(() => store.client.updateState({ params }), causes);
  const plan = useAnswer(() => store.client.plan({ params }), causes);
  const state = update.value;
  return (
    <section>
      <div class="head">
        <h2>{t.of(app.name)}</h2>
        {state && <Decisions app={app} update={state} />}
      </div>
      {update.fault !== undefined && <p class="fault">{update.fault}</p>}
      {state && <Standing update={state} />}
      {state?.failure && <Failure failure={state.failure} />}
      {state && state.gates.length > 0 && <Gates gates={state.gates} />}
      <h3>{t.plan}</h3>
      {plan.value ? <PlanTable plan={plan.value} /> : <p class="faint">{plan.fault ?? words.value.reading}</p>}
    </section>
  );
}

function Standing({ update }: { readonly update: Update }) {
  const t = words.value.update;
  const { state, committed, target, attempts, waitsFor, disk } = update;
  return (
    <>
      <p>
        <Mark is={marks[state]} /> {state === "steady" && !committed ? t.asWanted : t.states[state]}
      </p>
      <dl class="facts-list">
        {committed && (
          <>
            <dt>{t.committed}</dt>
            <dd>
              <code title={committed.commit}>{shortCommit(committed.commit)}</code>
            </dd>
          </>
        )}
        <dt>{t.target}</dt>
        <dd>{target ? <code title={target.commit}>{shortCommit(target.commit)}</code> : t.none}</dd>
        {attempts > 0 && (
          <>
            <dt>{t.attempts}</dt>
            <dd>{attempts}</dd>
          </>
        )}
        {waitsFor.length > 0 && (
          <>
            <dt>{t.waitsFor}</dt>
            <dd>{waitsFor.join("; ")}</dd>
          </>
        )}
        {disk && (
          <>
            <dt>{t.disk}</dt>
            <dd>{t.diskNeeds(bytes(disk.need), bytes(disk.free), bytes(disk.reserve))}</dd>
          </>
        )}
      </dl>
    </>
  );
}

function Failure({ failure }: { readonly failure: NonNullable<Update["failure"]> }) {
  const { service, message, lines } = failure;
  return (
    <>
      <h3>{words.value.update.failure}</h3>
      <p>
        {service !== undefined && <strong>{service}: </strong>}
        {message}
      </p>
      {lines.length > 0 && (
        <pre>
          <code>{lines.join("\n")}</code>
        </pre>
      )}
    </>
  );
}

const gateMarks = { open: "well", closed: "working", failed: "failing" } as const;

function Gates({ gates }: { readonly gates: Update["gates"] }) {
  const t = words.value.update;
  return (
    <table class="cards">
      <thead>
        <tr>
          <th scope="col">{words.value.device.service}</th>
          <th scope="col">{t.gate}</th>
          <th scope="col">{words.value.device.status}</th>
        </tr>
      </thead>
      <tbody>
        {gates.map(({ service, gate, is, detail }) => (
          <tr key={`${service} ${gate}`}>
            <th scope="row">{service}</th>
            <td>{gate}</td>
            <td>
              <Mark is={gateMarks[is]} /> {t.gateIs[is]}
              {detail !== undefined && `: ${detail}`}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** What a person can decide in this state. */
function Decisions({ app, update: { state } }: { readonly app: AppState; readonly update: Update }) {
  const { can, actions, store } = useDevice();
  const t = words.value.act;
  return (
    <div class="row">
      {state === "waiting" && (
        <ActionButton kind="filled" action={can.apply(app)}>
          {t.apply}
        </ActionButton>
      )}
      {(state === "rejected" || state === "paused") && (
        <ActionButton kind="filled" action={can.retry(app)}>
          {t.retry}
        </ActionButton>
      )}
      {(state === "trying" || state === "paused") && (
        <Button disabled={!store.mayAct.value} onClick={() => actions.ask(can.askRollBack(app))}>
          {t.rollBack} …
        </Button>
      )}
    </div>
  );
}
