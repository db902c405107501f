import { withShortImages } from "../format.ts";
import type { Problem } from "../live/device-store.ts";
import { markOfProblem } from "../live/marks.ts";
import { Button } from "../parts/button.tsx";
import { Mark } from "../parts/mark.tsx";
import { Age } from "../parts/since.tsx";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";

/** What is wrong, and why, as the device says it: the first thing that is read. */
export function ProblemList() {
  const { store } = useDevice();
  const state = store.state.value;
  const waits = (state?.apps ?? []).flatMap(({ appId, name, waits: reasons }) =>
    reasons.map((reason) => ({ appId, name, reason })),
  );
  const problems = state?.problems ?? [];
  const isTold = (reason: string) =>
    problems.some(({ kind, message }) => kind === "locked" || message.includes(reason));
  const untold = waits.filter(({ reason }) => !isTold(reason));
  if (problems.length + untold.length === 0) return null;
  const t = words.value;
  return (
    <section class="problems" aria-label={t.device.wrong}>
      {problems.map((problem) => (
        <ProblemRow key={`${problem.appId} ${problem.service} ${problem.kind}`} problem={problem} />
      ))}
      {untold.map(({ appId, reason }) => (
        <div key={`${appId} ${reason}`} class="problem waiting">
          <Mark is="waiting" />
          <p>
            <strong>{t.device.waits}</strong> {reason}
          </p>
          <ProblemActions />
        </div>
      ))}
    </section>
  );
}

function ProblemRow({ problem }: { readonly problem: Problem }) {
  const { can, actions, store } = useDevice();
  const { service, kind, message, since } = problem;
  const t = words.value;
  const mark = markOfProblem(problem);
  return (
    <div class={`problem ${mark}`}>
      <Mark is={mark} />
      <p>
        <strong>
          {service && `${service}: `}
          {t.kinds[kind] ?? kind}
        </strong>{" "}
        {withShortImages(message)}{" "}
        <small>
          {t.device.since("")}
          <Age at={Date.parse(since)} />
        </small>
      </p>
      <ProblemActions service={service}>
        {kind === "locked" && (
          <Button disabled={!store.mayAct.value} onClick={() => actions.ask(can.askForce([message]))}>
            {t.act.force} …
          </Button>
        )}
      </ProblemActions>
    </div>
  );
}

function ProblemActions({
  service,
  children,
}: {
  readonly service?: string | undefined;
  readonly children?: preact.ComponentChildren;
}) {
  const { base } = useDevice();
  const t = words.value.act;
  return (
    <div class="row">
      {service !== undefined && (
        <a class="button" href={`#${base}logs/${encodeURIComponent(service)}`} aria-label={`${t.logs}: ${service}`}>
          {t.logs}
        </a>
      )}
      <a class="button" href={`#${base}update`}>
        {t.why}
      </a>
      {children}
    </div>
  );
}
