import { join } from "node:path";
import { afterAll, beforeAll, onTestFinished } from "vitest";
import { createTestHarness } from "wrangler";
import "./offline.ts";
import { createMemoryDevice, type MemoryDevice } from "../../core/embedded/device.ts";
import { MemoryLog } from "../../core/embedded/ports.ts";
import type { Fetch } from "../../core/http/fetch.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { startTunnel, type RunningTunnel, type TunnelOptions } from "../../runtimes/node/cloud/tunnel.ts";

/** The relay in a real workerd, and devices that connect to it. */

const ownerSecret = "the-secret-of-the-owner-in-tests";

export interface RelayCloud {
  readonly url: () => string;
  /** Calls a session or the directory directly, without the relay. */
  readonly tell: (what: object) => Promise<unknown>;
  /** `POST /supervisor<path>` as the owner. The answer is not read yet. */
  readonly relay: (path: string, body: object, init?: RequestInit) => Promise<Response>;
  /** Evicts a device's session like a hibernation: its socket stays open. */
  readonly hibernate: (device: Known) => Promise<void>;
  /** Ends every session and every socket, like a deployment. */
  readonly deploy: () => Promise<void>;
}

/** Runs until the test file ends. */
export function startRelay(): RelayCloud {
  const worker = createTestHarness({
    workers: [
      {
        config: {
          name: "relay",
          main: join(import.meta.dirname, "entry/entry.ts"),
          compatibility_date: "2026-10-23",
          compatibility_flags: ["enable_request_signal", "no_web_socket_compression"],
          vars: { ADMIN_SECRET: ownerSecret },
          durable_objects: {
            bindings: [
              { name: "DEVICES", class_name: "DeviceSession" },
              { name: "DIRECTORY", class_name: "Directory" },
            ],
          },
          migrations: [{ tag: "v1", new_sqlite_classes: ["DeviceSession", "Directory"] }],
        },
      },
    ],
  });
  let url = "";
  beforeAll(async () => {
    url = (await worker.listen()).url.origin;
  });
  afterAll(() => worker.close());

  return {
    url: () => url,
    tell: async (what) => {
      const response = await fetch(`${url}/tell`, { method: "POST", body: JSON.stringify(what) });
      if (!response.ok)
        throw new Error(`${JSON.stringify(what)} answered ${response.status}: ${await response.text()}`);
      return response.json();
    },
    relay: (path, body, init = {}) =>
      fetch(`${url}/supervisor${path}`, {
        method: "POST",
        body: JSON.stringify(body),
        ...init,
        headers: { authorization: `Bearer ${ownerSecret}`, "content-type": "application/json", ...init.headers },
      }),
    hibernate: ({ uuid }) =>
      worker.getWorker().evictDurableObject("DeviceSession", { name: uuid, webSockets: "hibernate" }),
    deploy: () => worker.update((options) => options),
  };
}

/** A registered device. */
export interface Known {
  readonly uuid: string;
  readonly deviceId: number;
  readonly fleetId: number;
  readonly key: string;
}

let made = 0;

/** A device of that fleet, which has not connected yet. */
export async function newDevice(cloud: RelayCloud, fleetId = 1): Promise<Known> {
  const deviceId = ++made;
  const uuid = deviceId.toString(16).padStart(32, "0");
  const device = { uuid, deviceId, fleetId, key: `key${uuid}` };
  await cloud.tell({ to: "enroll", ...device });
  return device;
}

export interface Joined extends Known {
  readonly tunnel: RunningTunnel;
  readonly log: MemoryLog;
}

/** Connects a request handler as that device. */
export async function dial(
  cloud: RelayCloud,
  device: Known,
  fetch: Fetch,
  more: Partial<TunnelOptions> = {},
): Promise<Joined> {
  const log = new MemoryLog();
  const { uuid, key } = device;
  const tunnel = startTunnel({ url: cloud.url(), uuid, key, fetch, clock: systemClock, log, ...more });
  onTestFinished(() => tunnel.stop());
  await connected(tunnel);
  return { ...device, tunnel, log };
}

export async function connected(tunnel: RunningTunnel): Promise<void> {
  for (const end = Date.now() + 60_000; tunnel.state().is !== "connected";) {
    if (Date.now() > end) throw new Error(`Not connected: ${JSON.stringify(tunnel.state())}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export interface JoinedAgent extends Joined {
  readonly agent: MemoryDevice;
}

/** A whole agent on the engine in memory, connected. */
export async function joinAgent(cloud: RelayCloud, fleetId = 1): Promise<JoinedAgent> {
  const device = await newDevice(cloud, fleetId);
  const agent: MemoryDevice = await createMemoryDevice({
    identity: { uuid: device.uuid },
    ports: { tunnel: { state: () => joined.tunnel.state() } },
  });
  onTestFinished(() => agent.stop());
  const joined: Joined = await dial(cloud, device, agent.fetch);
  return { ...joined, agent };
}
