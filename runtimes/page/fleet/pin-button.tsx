import { whyOf, type Question } from "../live/actions.ts";
import { Button } from "../parts/button.tsx";
import { words } from "../words.ts";
import { useFleets, type Release } from "./context.ts";
import { fleetWords } from "./words.ts";

/** Asks to which of the fleet's releases devices are pinned. */
export function PinButton({
  fleetId,
  ask,
  disabled = false,
}: {
  readonly fleetId: number;
  readonly ask: (releases: readonly Release[]) => Question;
  readonly disabled?: boolean;
}) {
  const { admin, actions } = useFleets();
  const t = fleetWords.value;
  const read = async () => {
    try {
      const releases = await admin.releases({ params: { fleetId, limit: 100 } });
      if (releases.length > 0) actions.ask(ask(releases));
      else actions.say(t.releases.none, true);
    } catch (error) {
      actions.say(words.value.done.failed(t.bulk.pin, whyOf(error)), true);
    }
  };
  return (
    <Button disabled={disabled} onClick={() => void read()}>
      {t.bulk.pin} …
    </Button>
  );
}
