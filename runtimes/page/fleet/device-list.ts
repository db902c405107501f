import type { CloudDevice, DeviceState, FleetContext, Summary } from "./context.ts";

/** The worst first. */
export const states = ["failing", "waiting", "updating", "offline", "well"] as const satisfies readonly DeviceState[];

export interface DeviceFilter {
  readonly fleetId: number;
  readonly state: DeviceState | undefined;
  readonly search: string;
}

export interface DeviceList {
  readonly summary: Summary;
  readonly devices: readonly CloudDevice[];
  /** How many there are; undefined: more than are shown. */
  readonly all: number | undefined;
}

const mostRows = 100;

/** The first devices that fit, those with trouble first. `check`: their sessions are asked whether they are connected. */
export async function readDevices(
  { admin }: Pick<FleetContext, "admin">,
  { fleetId, state, search }: DeviceFilter,
  check: boolean,
): Promise<DeviceList> {
  const summary = await admin.fleetSummary({ params: { fleetId } });
  const devices: CloudDevice[] = [];
  const wanted = state === undefined ? states : [state];
  for (const one of wanted) {
    const limit = mostRows - devices.length;
    if (limit === 0 || summary.states[one] === 0) continue;
    const params = {
      fleetId,
      state: one,
      limit,
      ...(search !== "" && { search }),
      ...(check && { check: "true" as const }),
    };
    devices.push(...(await admin.devices({ params })));
  }
  const counted = wanted.map((one) => summary.states[one]).reduce((sum, n) => sum + n, 0);
  return { summary, devices, all: search === "" ? counted : devices.length < mostRows ? devices.length : undefined };
}
