import { onTestFinished } from "vitest";
import {
  createMemoryDevice,
  memoryIdentity,
  type MemoryDevice,
  type MemoryDeviceOptions,
} from "../../core/embedded/device.ts";
import { MemoryLogRing, MemoryStore } from "../../core/embedded/ports.ts";
import { systemClock, type Clock } from "../../core/ports/clock.ts";
import { httpCloud } from "../../runtimes/node/cloud/http-cloud.ts";
import { startCloud, type FakeCloud, type Device } from "../support/fake-cloud.ts";

/** Devices in memory that use a cloud over real HTTP, with an accelerated clock. */

const speed = 40;

/** The real clock, but every wait takes a fortieth of its time. */
export class FastClock implements Clock {
  readonly #from = Date.now();

  now(): number {
    return this.#from + (Date.now() - this.#from) * speed;
  }
  monotonic(): number {
    return systemClock.monotonic() * speed;
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms / speed, signal);
  }
  random(): number {
    return systemClock.random();
  }
  token(bytes: number): string {
    return systemClock.token(bytes);
  }
}

export const uuid = memoryIdentity.uuid ?? "";

export interface Member extends MemoryDevice {
  readonly store: MemoryStore;
  readonly ring: MemoryLogRing;
}

/** A device of the cloud's fleet. With `key` it is registered already, else it registers itself. */
export async function member(
  cloud: FakeCloud,
  {
    key = "",
    store = new MemoryStore(),
    ring = new MemoryLogRing(),
    ports,
    ...options
  }: MemoryDeviceOptions & { key?: string; store?: MemoryStore; ring?: MemoryLogRing } = {},
): Promise<Member> {
  const device = await createMemoryDevice({
    clock: new FastClock(),
    identity: { cloudUrl: cloud.url, cloudKey: key },
    cloudSettings: { provisioning: { key: cloud.fleet.key, applicationId: cloud.fleet.id }, pollIntervalMs: 20_000 },
    ...options,
    ports: { store, cloud: { ask: httpCloud(cloud.url, "Supervisor/19.0.5 (Linux; Memory 1; prod)"), ring }, ...ports },
  });
  onTestFinished(() => device.stop());
  return { ...device, store, ring };
}

/** A cloud with one registered device. */
export async function cloudWithDevice(): Promise<{ cloud: FakeCloud; known: Device }> {
  const clock = new FastClock();
  const cloud = await startCloud({ now: () => clock.now(), shortestPollMs: 1000 });
  const known = cloud.addDevice(uuid, "device-key");
  known.config = { RESIN_SUPERVISOR_POLL_INTERVAL: "20000" };
  return { cloud, known };
}

/** A service of a release. */
export const part = (id: number, image: string, more: object = {}) => ({
  id,
  image_id: id,
  image,
  environment: {},
  labels: {},
  ...more,
});

/** Waits until the condition holds. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>, limitMs = 15_000): Promise<void> {
  for (const end = Date.now() + limitMs; Date.now() < end;) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`It never came about: ${what}`);
}
