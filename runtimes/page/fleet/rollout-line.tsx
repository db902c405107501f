import { percent, shortCommit } from "../format.ts";
import { Button } from "../parts/button.tsx";
import { counted, language } from "../words.ts";
import { useAnswer } from "../views/use-answer.ts";
import { useFleets, type Fleet, type Progress } from "./context.ts";
import { askFleetPin } from "./fleet-pin.ts";
import { fleetWords } from "./words.ts";

/** While the release of the fleet arrives at its devices: how far it is, and the way back to the release before. */
export function RolloutLine({
  fleet,
  progress,
  onChanged,
}: {
  readonly fleet: Fleet;
  readonly progress: Progress;
  readonly onChanged: () => void;
}) {
  const { admin, actions, who } = useFleets();
  const { commit, devices, counts } = progress;
  const { value: before } = useAnswer(async () => {
    const { id } = await admin.release({ params: { fleetId: fleet.id, commit } });
    return (await admin.releases({ params: { fleetId: fleet.id, before: id, limit: 1 } }))[0]?.commit;
  }, [fleet.id, commit]);
  const { updating, waiting, failed } = counts;
  // Devices that are offline get it when they come back, which may be never.
  if (updating + waiting + failed === 0) return null;
  const t = fleetWords.value.rollout;
  const done = counts.done + counts.settling;
  const number = (value: number) => new Intl.NumberFormat(language.value).format(value);
  const facts = (["failed", "updating", "waiting", "offline"] as const)
    .filter((state) => counts[state] > 0)
    .map((state) => `${number(counts[state])} ${t.states[state]}`);
  const rollBack = (to: string) => {
    const [title, line] = [t.rollBack(shortCommit(to)), `${shortCommit(commit)} → ${shortCommit(to)}`];
    actions.ask(
      askFleetPin({ ...{ admin, fleet, release: to, title, line, onDone: onChanged }, text: t.rollBackText }),
    );
  };
  return (
    <section class="rollout row" aria-label={t.label(shortCommit(commit))}>
      <code title={commit}>{shortCommit(commit)}</code>
      <progress max={devices} value={done} aria-label={t.label(shortCommit(commit))} />
      <span>
        {number(done)} {counted(devices, t.of)}
      </span>
      <p class="facts">
        {facts.map((fact) => (
          <span key={fact}>{fact}</span>
        ))}
        {progress.progress !== null && <span>{t.downloaded(percent(progress.progress))}</span>}
      </p>
      <span class="space" />
      {before !== undefined && (
        <Button disabled={!who.write} onClick={() => rollBack(before)}>
          {t.rollBack(shortCommit(before))} …
        </Button>
      )}
    </section>
  );
}
