import type { Question } from "../live/actions.ts";
import { Button } from "../parts/button.tsx";
import { counted, words } from "../words.ts";
import { openOf, type BulkRequest, type ChosenDevice } from "./bulk-operation.ts";
import { useFleets, type Fleet } from "./context.ts";
import { deviceQuestions } from "./device-questions.ts";
import { PinButton } from "./pin-button.tsx";
import { fleetWords } from "./words.ts";

/** Above the list: how many devices are selected, and what can be done with them. */
export function SelectionBar({
  fleet,
  selected,
  shown,
  onAll,
}: {
  readonly fleet: Fleet;
  readonly selected: readonly ChosenDevice[];
  readonly shown: number;
  readonly onAll: (isWanted: boolean) => void;
}) {
  const { once, actions, bulk, who } = useFleets();
  const t = fleetWords.value.bulk;
  const isBusy = bulk.run.value !== undefined && openOf(bulk.run.value) > 0;
  const perform = async (request: BulkRequest) => void bulk.start(request);
  const can = deviceQuestions({ once, perform, fleetId: fleet.id, devices: selected, done: "" });
  const asking = (verb: string, ask: () => Question) => (
    <Button disabled={isBusy} onClick={() => actions.ask(ask())}>
      {verb} …
    </Button>
  );
  return (
    <div class="selection row" role="group" aria-label={t.label}>
      <label class="tick-label">
        <input
          type="checkbox"
          class="tick"
          disabled={!who.write}
          checked={selected.length === shown}
          ref={(box) => {
            if (box) box.indeterminate = selected.length > 0 && selected.length < shown;
          }}
          onChange={(event) => onAll(event.currentTarget.checked)}
        />
        {!who.write ? t.readOnly : selected.length === 0 ? t.all : counted(selected.length, t.count)}
      </label>
      {selected.length > 0 && (
        <div class="row">
          {asking(t.restart, can.restart)}
          {asking(words.value.act.reboot, can.reboot)}
          <PinButton fleetId={fleet.id} ask={can.pin} disabled={isBusy} />
          {asking(t.unpin, can.unpin)}
        </div>
      )}
    </div>
  );
}
