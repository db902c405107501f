import { useMemo } from "preact/hooks";
import { createCloudClient } from "../../../core/client/index.ts";
import type { Connect, LastReport } from "../live/device-store.ts";
import { figuresIn } from "../live/figures.ts";
import { words } from "../words.ts";
import { DeviceView } from "../views/device-view.tsx";
import { useAnswer } from "../views/use-answer.ts";
import { useFleets } from "./context.ts";
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
  const { value: device, fault } = useAnswer(() => admin.device({ params: { uuid } }), [uuid]);
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
      <p class="facts crumbs">
        <a href={pathOf(device.fleetId)}>← {t.nav.back}</a>
        <a href={pathOf(device.fleetId, "variables", uuid)}>{t.device.variables}</a>
      </p>
      <DeviceView
        key={uuid}
        {...{ connect, visibility, address, lastReport, onRefused }}
        base={`/d/${uuid}/`}
        apiKey={token}
        isReadOnly={!who.write}
      />
    </>
  );
}
