import type { MemoryDeviceOptions } from "../../core/embedded/device.ts";
import { memoryIdentity } from "../../core/embedded/device.ts";
import { testDevice, type TestDevice } from "../support/device.ts";

/** A device with a cloud, whose API needs a key. */
export interface ManagedDevice extends TestDevice {
  /** Sets the cloud's target state, and waits until it is reached. */
  readonly runCloud: (apps: Record<string, object>, config?: Record<string, string>) => Promise<void>;
  /** The global key as a header. */
  readonly globalKey: () => Record<string, string>;
  /** The key in a service's container, as a header. */
  readonly keyOf: (appId: number, service: string) => Promise<Record<string, string>>;
}

export const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

export async function managedDevice({ identity, ...options }: MemoryDeviceOptions = {}): Promise<ManagedDevice> {
  const device = await testDevice({
    ...options,
    identity: { cloudUrl: "https://cloud.example", cloudKey: "k", ...identity },
  });
  const { targets, loop, keys } = device.supervisor;
  return {
    ...device,
    runCloud: async (apps, config = {}) => {
      const parsed = await targets.setCloud({ [memoryIdentity.uuid ?? ""]: { name: "managed", config, apps } });
      if (!parsed.ok) throw new Error(parsed.faults.join("\n"));
      loop.retry({ force: false });
      await device.settled();
    },
    globalKey: () => bearer(keys.global()),
    keyOf: async (appId, service) => {
      const { containers } = await device.engine.look();
      const container = containers.find((one) => one.appId === appId && one.service === service);
      return bearer(container?.spec.environment["BALENA_SUPERVISOR_API_KEY"] ?? "");
    },
  };
}

/** An application of the cloud's target state: its services by name, each with a key for the API. */
export const cloudApp = (
  appId: number,
  name: string,
  services: Record<string, object>,
  release: object = {},
): object => ({
  id: appId,
  name,
  releases: {
    [`${name}1`]: {
      id: appId * 10,
      services: Object.fromEntries(
        Object.entries(services).map(([service, fields], n) => [
          service,
          {
            id: appId * 100 + n + 1,
            image_id: appId * 1000 + n + 1,
            image: `${service}:latest`,
            labels: { "io.balena.features.supervisor-api": "1" },
            ...fields,
          },
        ]),
      ),
      ...release,
    },
  },
});

/** A managed device that runs two applications, `first` (1) with the service `web` and `second` (2) with `db`. */
export async function twoApps(options?: MemoryDeviceOptions): Promise<ManagedDevice> {
  const device = await managedDevice(options);
  await device.runCloud({ aaaa: cloudApp(1, "first", { web: {} }), bbbb: cloudApp(2, "second", { db: {} }) });
  return device;
}
