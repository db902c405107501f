import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { createCloudClient } from "../../../core/client/index.ts";
import { shortCommit } from "../format.ts";
import type { Connect, LastReport } from "../live/device-store.ts";
import { figuresIn } from "../live/figures.ts";
import { Button } from "../parts/button.tsx";
import { words } from "../words.ts";
import { DeviceView } from "../views/device-view.tsx";
import { useAnswer } from "../views/use-answer.ts";
import type { BulkRequest } from "./bulk-operation.ts";
import { useFleets, type CloudDevice } from "./context.ts";
import { deviceQuestions } from "./device-questions.ts";
import { PinButton } from "./pin-button.tsx";
import { pathOf } from "./routes.ts";
import { fleetWords } from "./words.ts";

/** One device, through the relay of the cloud. */
export function FleetDevice({
  uuid,
  token,
  onRefused,
}: {
  readonly uuid: string;
  readonly token: string;
  readonly onRefused: (why: string) => void;
}) {
  const { admin, visibility, who } = useFleets();
  const count = useSignal(0);
  const { value: device, fault } = useAnswer(() => admin.device({ params: { uuid } }), [uuid, count.value]);
  const connect = useMemo<Connect>(
    () => (fetch) => createCloudClient({ baseUrl: location.origin, fetch, key: token }).device(uuid),
    [uuid, token],
  );
  const address = useMemo(() => ({ origin: location.origin, hasKey: true, uuid }), [uuid]);
  const lastReport = useMemo(
    () => async (): Promise<LastReport> => {
      const [known, status] = await Promise.all([
        admin.device({ params: { uuid } }),
        admin.deviceStatus({ params: { uuid } }),
      ]);
      return {
        heardAt: status.heardAt === null ? undefined : Date.parse(status.heardAt),
        about: {
          ...{ name: known.name, type: known.deviceType, arch: "", os: known.osVersion ?? "" },
          addresses: status.addresses,
        },
        state: status.state,
        figures: figuresIn(status.figures),
      };
    },
    [admin, uuid],
  );
  const t = fleetWords.value;
  if (fault !== undefined) return <p class="bar failing">{fault}</p>;
  if (!device) return <p class="faint">{words.value.reading}</p>;
  return (
    <>
      <div class="row crumbs">
        <p class="facts">
          <a href={pathOf(device.fleetId)}>← {t.nav.back}</a>
          <a href={pathOf(device.fleetId, "variables", uuid)}>{t.device.variables}</a>
        </p>
        <span class="space" />
        <Pin device={device} onChanged={() => count.value++} />
      </div>
      <DeviceView
        key={uuid}
        {...{ connect, visibility, address, lastReport, onRefused }}
        base={`/d/${uuid}/`}
        isReadOnly={!who.write}
      />
    </>
  );
}

/** Which release the device should run, and whether that is its fleet's. */
function Pin({ device, onChanged }: { readonly device: CloudDevice; readonly onChanged: () => void }) {
  const { once, actions, who } = useFleets();
  const { fleetId, target, pinned } = device;
  const t = fleetWords.value;
  const perform = async ({ send }: BulkRequest) => {
    await send(device.uuid);
    onChanged();
  };
  const can = deviceQuestions({ once, perform, fleetId, devices: [device] });
  return (
    <p class="row">
      <small>
        {pinned ? t.device.pinned : t.device.follows} {target !== null && <code>{shortCommit(target)}</code>}
      </small>
      <PinButton fleetId={fleetId} ask={can.pin} disabled={!who.write} />
      {pinned && (
        <Button disabled={!who.write} onClick={() => actions.ask(can.unpin())}>
          {t.bulk.unpin} …
        </Button>
      )}
    </p>
  );
}
