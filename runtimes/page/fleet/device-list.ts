import type { CloudDevice, FleetContext, Progress, Summary } from "./context.ts";
import { states, tagParameter, type DeviceFilter } from "./device-filter.ts";

export interface DeviceList {
  readonly summary: Summary;
  readonly devices: readonly CloudDevice[];
  /** How many there are; undefined: more than are shown. */
  readonly all: number | undefined;
  /** How far the fleet is on its way to its target; undefined: it has none. */
  readonly progress: Progress | undefined;
}

const mostRows = 100;

/** The first devices that fit, those with trouble first. `check`: their sessions are asked whether they are connected. */
export async function readDevices(
  { admin }: Pick<FleetContext, "admin">,
  fleetId: number,
  { state, release, tags, text }: DeviceFilter,
  check: boolean,
): Promise<DeviceList> {
  const summary = await admin.fleetSummary({ params: { fleetId } });
  const devices: CloudDevice[] = [];
  const wanted = state === undefined ? states : [state];
  const filter = {
    ...(release !== undefined && { release }),
    ...(tags.length > 0 && { tag: tagParameter(tags) }),
    ...(text !== "" && { search: text }),
  };
  for (const one of wanted) {
    const limit = mostRows - devices.length;
    if (limit === 0 || summary.states[one] === 0) continue;
    const params = { fleetId, state: one, limit, ...filter, ...(check && { check: "true" as const }) };
    devices.push(...(await admin.devices({ params })));
  }
  const { target } = summary;
  const progress =
    target === null || summary.devices === 0
      ? undefined
      : await admin.releaseProgress({ params: { fleetId, commit: target, stayUp: 0, limit: 1 } });
  const counted = wanted.map((one) => summary.states[one]).reduce((sum, n) => sum + n, 0);
  const isWhole = Object.keys(filter).length === 0;
  return {
    summary,
    devices,
    progress,
    all: isWhole ? counted : devices.length < mostRows ? devices.length : undefined,
  };
}
