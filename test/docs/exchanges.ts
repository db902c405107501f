import { expect } from "vitest";
import * as z from "zod";
import type { Endpoint, Replies } from "../../core/api/endpoint.ts";
import type { Example } from "../../core/api/openapi.ts";
import { endpoints } from "../../core/api/index.ts";
import { fillPath } from "../../core/api/path.ts";
import type { UpdateRecord } from "../../core/model/update.ts";
import { app, testDevice, type TestDevice } from "../support/device.ts";

/** One exchange with a device in memory for each endpoint: an example in the OpenAPI document and in docs/endpoints.md. */

type Described = Pick<Endpoint<unknown, unknown, Replies>, "method" | "path" | "replies">;

interface Sample {
  readonly params?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** The request replaces the key that it carries. */
  readonly keyed?: true;
}

/** Stands for the id of a lease that exists. */
const leaseId = "8a41…";

const sampleTarget = {
  local: {
    name: "kitchen",
    config: {},
    apps: {
      "1": {
        name: "shop",
        commit: "c1",
        releaseId: 1,
        services: { "1": { serviceName: "web", imageId: 1, image: "nginx:1", environment: {}, labels: {} } },
      },
    },
  },
};

/** A request to each endpoint that has an input. */
const samples: Readonly<Record<string, Sample>> = {
  update: { body: { force: true } },
  reboot: { body: { force: true } },
  shutdown: { body: { force: true } },
  setTags: { body: { room: "kitchen" } },
  setHostConfig: { body: { network: { hostname: "kitchen" } } },
  application: { params: { appId: "2" } },
  applicationState: { params: { appId: "1" } },
  restart: { body: { appId: 1 } },
  purge: { body: { appId: 1 } },
  restartV2: { params: { appId: "1" }, body: { force: true } },
  purgeV2: { params: { appId: "1" }, body: { force: true } },
  start: { params: { appId: "2" } },
  stop: { params: { appId: "2" }, body: { force: true } },
  startService: { params: { appId: "1" }, body: { serviceName: "web" } },
  stopService: { params: { appId: "1" }, body: { serviceName: "web" } },
  restartService: { params: { appId: "1" }, body: { serviceName: "web" } },
  containerId: { params: { service: "web" } },
  setTargetState: { body: sampleTarget },
  metrics: { params: { collect: "containers" } },
  metricsHistory: { params: { collect: "containers" } },
  plan: { params: { appId: "1" } },
  history: { params: { appId: "1", limit: "1" } },
  stream: { params: { app: "2", logs: "1", state: "1" } },
  events: { params: { app: "2", kinds: "serviceStarted", limit: "1" } },
  updateState: { params: { appId: "1" } },
  confirmUpdate: { params: { appId: "1" }, body: { commit: "c1" } },
  failUpdate: { params: { appId: "1" }, body: { reason: "the database is too old" } },
  applyUpdate: { params: { appId: "1" }, body: { commit: "c1" } },
  retryUpdate: { params: { appId: "1" } },
  rollBackUpdate: { params: { appId: "1" }, body: { reason: "wrong colour" } },
  planTarget: { params: { appId: "1" }, body: sampleTarget },
  composeTarget: { body: { compose: "services: { door: { image: door:2 } }", project: "garden" } },
  serviceLogs: { params: { service: "web", tail: "10" } },
  serviceProcesses: { params: { appId: "1", service: "web" } },
  applicationStats: { params: { appId: "1" } },
  startExec: { params: { appId: "1", service: "web" }, body: { command: ["cat", "/etc/hostname"] } },
  execOutput: { params: { sessionId: "8a41" } },
  execInput: { params: { sessionId: "8a41" }, body: { data: "aGVsbG8K", sequence: 1 } },
  resizeExec: { params: { sessionId: "8a41" }, body: { columns: 120, rows: 40 } },
  endExec: { params: { sessionId: "8a41" } },
  takeLock: { body: { appId: 1, service: "web", reason: "firmware upload", ttl: 1800 } },
  renewLock: { params: { id: leaseId }, body: { ttl: 1800 } },
  releaseLock: { params: { id: leaseId } },
  operation: { params: { id: "8a41", wait: "45" } },
  cancelOperation: { params: { id: "8a41" } },
  journalLogs: { body: { count: 1 } },
  regenerateApiKey: { keyed: true },
} satisfies Partial<Record<keyof typeof endpoints, Sample>>;

const tried = { phase: "trying", fingerprint: "", commit: "c1", attempts: 1, confirmed: [] } as const;

/** Where the update stands about which something is decided. */
const records: Readonly<Record<string, UpdateRecord>> = {
  ...{ confirmUpdate: tried, failUpdate: tried, rollBackUpdate: tried },
  applyUpdate: { phase: "waiting", fingerprint: "", commit: "c1", bootId: "" },
  retryUpdate: { phase: "rejected", fingerprint: "", commit: "c1", failure: { message: "" }, at: 0 },
};

/** A device in memory with an application of two services and one of a single service. */
async function sampleDevice() {
  const journal = { read: () => new Blob(["Nov 23 20:14:40 kitchen kernel: hello\n"]).stream() };
  const device = await testDevice({ ports: { journal } });
  await device.run({
    "1": app({ web: { imageId: 11 }, db: { imageId: 12 } }, { name: "shop" }),
    "2": app({ door: { imageId: 21 } }, { name: "house" }),
  });
  const { containers } = await device.engine.look();
  for (const { id, service } of containers) device.engine.write(id, `${service} is ready`);
  return device;
}

/** What differs from run to run. */
const steady = (text: string): string =>
  text
    .replace(/\b[0-9a-f]{64}\b/g, "5f2d…")
    .replace(/\b[0-9a-f]{32}\b/g, (id) => (id === "0123456789abcdef0123456789abcdef" ? id : "8a41…"))
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "2026-11-23T20:00:00.000Z")
    .replace(/("timestamp":|"at":\[)\d+/g, "$11764410400123")
    .replace(/("id":|"last":|"after":)\d+(?=,"(?:at|gaps)"|\})/g, "$118");

/** What an endpoint is asked, and what it answers; long ids and times are always the same ones. */
export async function exchangeWith(name: string, { method, path, replies }: Described): Promise<Example> {
  const sample = samples[name] ?? {};
  const { status, type, text } = await answerOf(name, { method, path }, sample);
  expect(replies).toHaveProperty(String(status));
  return {
    ...(sample.params && { params: sample.params }),
    ...(sample.body !== undefined && { body: sample.body }),
    answer: {
      status,
      ...(type !== undefined && { type }),
      ...(text !== "" && { body: type === "application/json" ? JSON.parse(text) : text }),
    },
  };
}

interface Answered {
  readonly status: number;
  readonly type: string | undefined;
  readonly text: string;
}

async function answerOf(
  name: string,
  { method, path }: Pick<Described, "method" | "path">,
  sample: Sample,
): Promise<Answered> {
  const device = await sampleDevice();
  if (sample.params?.["sessionId"] !== undefined) {
    const exec = name === "execOutput" ? { command: ["echo", "hello"] } : { tty: true };
    const { json } = await device.post("/v3/apps/1/services/web/exec", exec);
    sample = { ...sample, params: { sessionId: z.object({ id: z.string() }).parse(json).id } };
  }
  if (name === "operation" || name === "cancelOperation")
    sample = { ...sample, params: await begin(device, name, sample) };
  if (name === "logs") return firstLogLine(device);
  if (name === "stream")
    return {
      ...{ status: 200, type: "application/x-ndjson" },
      text: steady(await firstLines(device, fillPath(path, sample.params), 2)),
    };
  const lease = { appId: 1, service: "web", services: ["web"], owner: "web", reason: "firmware upload", ttlMs: 1e6 };
  const leased =
    path.startsWith("/v3/locks") && method !== "POST" ? await device.supervisor.leases.create(lease) : undefined;
  const record = records[name];
  if (record) {
    const { local } = device.supervisor.targets.show();
    const config = { SUPERVISOR_SAFE_UPDATES: "on" };
    await device.post("/v2/local/target-state", { local: { ...local, config } });
    await device.settled();
    await device.supervisor.updates.setRecord(1, record);
  }
  const id = leased?.is === "leased" ? leased.lease.id : "";
  const key = sample.keyed ? `?apikey=${device.supervisor.keys.global()}` : "";
  const url = fillPath(path, sample.params).replace(encodeURIComponent(leaseId), id) + key;
  const { status, headers, text } = await device.send(method, url, {
    ...(sample.body !== undefined && {
      headers: { "content-type": "application/json" },
      body: JSON.stringify(sample.body),
    }),
  });
  expect([name, status, text]).toEqual([name, expect.toSatisfy((one) => one < 300), text]);
  return { status, type: headers.get("content-type")?.split(";")[0], text: steady(excerptOf(name, text)) };
}

/** An operation that has ended, or that waits for its turn. */
async function begin(device: TestDevice, name: string, { params }: Sample) {
  if (name === "cancelOperation") void device.supervisor.loop.exclusively(1, () => new Promise(() => {}));
  const begun = await device.post(
    "/v2/applications/1/restart-service",
    { serviceName: "web" },
    { prefer: "respond-async" },
  );
  return { ...params, id: z.object({ id: z.string() }).parse(begun.json).id };
}

function excerptOf(name: string, text: string): string {
  switch (name) {
    case "metrics":
      return familiesOf(text);
    case "openApi":
      return JSON.stringify({ openapi: "3.1.0", paths: {} });
    case "docs":
    case "errorDocs":
      return `${text.slice(0, 100)}…`;
    default:
      return text.trimEnd();
  }
}

/** Three families of many. */
const familiesOf = (text: string): string =>
  [
    ...text.matchAll(
      /^# HELP (?:fairlead_app_info|fairlead_settled|fairlead_service_processes) .*\n(?:.+\n)+?(?=# HELP|$)/gm,
    ),
  ]
    .map(([family]) => `${family}…`)
    .join("\n");

/** The answer has no end. */
async function firstLogLine({ fetch, engine, container }: TestDevice): Promise<Answered> {
  const { status, headers, body } = await fetch(new Request("http://device/v2/local/logs"));
  if (!body) throw new Error("The answer has no body");
  engine.write((await container("web")).id, "web is busy");
  for await (const bytes of body) {
    const line = new TextDecoder().decode(bytes).trim();
    if (line.includes("web is busy"))
      return { status, type: headers.get("content-type")?.split(";")[0], text: steady(line) };
  }
  throw new Error("The stream has ended");
}

/** The answer has no end. */
async function firstLines({ fetch }: TestDevice, path: string, count: number): Promise<string> {
  const { body } = await fetch(new Request(`http://device${path}`));
  if (!body) throw new Error("The answer has no body");
  let text = "";
  for await (const bytes of body) {
    text += new TextDecoder().decode(bytes);
    const lines = text.split("\n");
    if (lines.length > count) return lines.slice(0, count).join("\n");
  }
  throw new Error("The stream has ended");
}
