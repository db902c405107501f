import { expect } from "vitest";
import { memoryIdentity } from "../../core/embedded/device.ts";
import { memorySystem } from "../../core/embedded/ports.ts";
import { cuedCloud, type Cue } from "../support/cued-cloud.ts";
import { testDevice, type TestDevice } from "../support/device.ts";
import { recordedApp, recordedService } from "./deviations.ts";

/** The recorded device's state in each scenario, and the events on it. */
export interface Scene {
  /** The cloud's target state at first, and from the entry of each name on. If absent, the device has no cloud. */
  readonly cloud?: { readonly first: Cue; readonly from?: Readonly<Record<string, Cue>> };
  /** The state before the first entry. */
  readonly before?: (device: TestDevice) => Promise<unknown>;
  /** Entries recorded while the device was busy: right after the previous entry, or once it had started to work. */
  readonly busy?: Readonly<Record<string, "at once" | "at work">>;
  /** The events while a log is read, and its last line. */
  readonly during?: { readonly act: (device: TestDevice) => Promise<unknown>; readonly until: string };
}

export const run = async (device: TestDevice, apps: object): Promise<void> => {
  const local = { name: "my-device", config: { SUPERVISOR_LOCAL_MODE: "1" }, apps };
  const answer = await device.post("/v2/local/target-state", { local });
  expect(answer.json).toEqual({ status: "success", message: "OK" });
};

const two = { ...recordedService("one", 1), ...recordedService("two", 2) };
export const three = { ...two, ...recordedService("three", 3) };

export const scenes: Readonly<Record<string, Scene>> = {
  "unmanaged-no-app": {},
  "unmanaged-bad-input-no-app": {},
  "unmanaged-single-container": {
    busy: { "state/status right after": "at once", "v1 device right after": "at once" },
  },
  "unmanaged-target-state-invalid": {
    busy: {
      "state while image is missing": "at work",
      "apps while image is missing": "at work",
      "v1 device while image is missing": "at work",
      "healthy while image missing": "at work",
      "depends_on unknown service": "at work",
    },
  },
  "unmanaged-vpn-name": { before: (device) => run(device, recordedApp("rb", two)) },
  "unmanaged-local-logs-stream": {
    before: (device) => run(device, recordedApp("rb", three, { volumes: { data: {} } })),
    during: {
      act: async (device) => {
        device.engine.write((await device.container("one")).id, "hello from one\r");
        await device.post("/v2/applications/1/restart-service", { serviceName: "one" });
        await device.post("/v2/applications/1/purge");
      },
      until: "Purged data",
    },
  },
  "managed-auth": { cloud: { first: { name: "cloud-name", config: {} } } },
  "managed-no-app": { cloud: { first: { name: "cloud-name", config: {}, tags: { loc: "lab" } } } },
};

const system = {
  ...memorySystem,
  addresses: () => ["192.168.7.10"],
  macAddresses: () => ["02:42:C0:A8:07:0A", "A6:43:F2:23:9A:68"],
};

/** Values of the recorded device's host that differ by entry. */
export interface RecordedHost {
  journal: string;
  vpnIsUp: boolean;
}

export interface RecordedDevice extends TestDevice {
  /** Sets the cloud's target state of the entry with this name. */
  readonly cue: (entry: string) => Promise<void>;
}

/** The device of the recordings. */
export async function recordedDevice({ cloud: said, before }: Scene, host: RecordedHost): Promise<RecordedDevice> {
  const cloud = said && (await cuedCloud(memoryIdentity.uuid ?? "", "<DEVICE>"));
  const device = await testDevice({
    identity: {
      osVersion: "balenaOS 4.0.11+rev1",
      ...(cloud && { cloudUrl: cloud.url, cloudKey: "<DEVICE>" }),
    },
    // The download of an image that is not listed never ends.
    pullMs: 1e9,
    program: ({ service }) => ({ lines: [`hello from ${service}\r`] }),
    ports: {
      system: { ...system, vpnIsUp: () => host.vpnIsUp },
      journal: { read: () => new Blob([host.journal]).stream() },
      ...cloud?.ports,
    },
  });
  device.hostname.name = "my-device";
  for (const name of ["one", "two", "three"]) device.engine.addImage(`local_image_${name}:latest`);
  if (said) await cloud?.play(said.first, device);
  await before?.(device);
  await device.settled();
  return {
    ...device,
    cue: async (entry) => {
      const cue = said?.from?.[entry];
      if (cue) await cloud?.play(cue, device);
    },
  };
}
