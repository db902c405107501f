import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { expect, test } from "vitest";
import * as z from "zod";
import { endpoints as adminEndpoints } from "../../core/api/admin/index.ts";
import { fillPath } from "../../core/api/path.ts";
import { endpoints as cloudEndpoints } from "../../core/api/cloud/index.ts";
import { none, type Endpoint, type Replies, type Wire } from "../../core/api/endpoint.ts";
import { endpoints } from "../../core/api/index.ts";
import { refusalType } from "../../core/api/refusal.ts";
import type { UpdateRecord } from "../../core/model/update.ts";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { notesOf, shapeOf } from "./shape.ts";

/** docs/endpoints.md is generated: `npx vitest -u --config test/vitest.config.ts endpoints-page` writes it. */

type Described = Pick<
  Endpoint<unknown, unknown, Replies>,
  "method" | "path" | "summary" | "open" | "writes" | "manages" | "params" | "body" | "replies" | "bodyLimitBytes"
> & {
  readonly scope?: unknown;
  readonly device?: unknown;
  readonly shell?: unknown;
  readonly person?: unknown;
};

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

async function answerOf(name: string, { method, path, replies }: Described, sample: Sample): Promise<string> {
  const device = await sampleDevice();
  if (sample.params?.["sessionId"] !== undefined) {
    const exec = name === "execOutput" ? { command: ["echo", "hello"] } : { tty: true };
    const { json } = await device.post("/v3/apps/1/services/web/exec", exec);
    sample = { ...sample, params: { sessionId: z.object({ id: z.string() }).parse(json).id } };
  }
  if (name === "operation" || name === "cancelOperation")
    sample = { ...sample, params: await begin(device, name, sample) };
  if (name === "logs") return steady(`200\n${await firstLogLine(device)}`);
  if (name === "stream") return steady(`200\n${await firstLines(device, urlOf(path, sample, ""), 2)}`);
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
  const url = urlOf(path, sample, device.supervisor.keys.global()).replace(encodeURIComponent(leaseId), id);
  const answer = await device.send(method, url, {
    ...(sample.body !== undefined && {
      headers: { "content-type": "application/json" },
      body: JSON.stringify(sample.body),
    }),
  });
  expect([name, answer.status, answer.text]).toEqual([name, expect.toSatisfy((status) => status < 300), answer.text]);
  expect(replies).toHaveProperty(String(answer.status));
  const body =
    name === "metrics"
      ? excerptOf(answer.text)
      : ["openApi", "docs", "errorDocs"].includes(name)
        ? `${answer.text.slice(0, 100)}…`
        : answer.text.trimEnd();
  return steady(`${answer.status}${body === "" ? "" : `\n${body}`}`);
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

/** Three families of many. */
const excerptOf = (text: string): string =>
  [
    ...text.matchAll(
      /^# HELP (?:fairlead_app_info|fairlead_settled|fairlead_service_processes) .*\n(?:.+\n)+?(?=# HELP|$)/gm,
    ),
  ]
    .map(([family]) => `${family}…`)
    .join("\n");

/** The answer has no end. */
async function firstLogLine({ fetch, engine, container }: TestDevice): Promise<string> {
  const { body } = await fetch(new Request("http://device/v2/local/logs"));
  if (!body) throw new Error("The answer has no body");
  engine.write((await container("web")).id, "web is busy");
  for await (const bytes of body) {
    const line = new TextDecoder().decode(bytes).trim();
    if (line.includes("web is busy")) return line;
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

const limit = (bytes: number) => `${bytes / 1024 / 1024} MiB`;

const urlOf = (path: string, { params, keyed }: Sample, key: string): string =>
  `${fillPath(path, params)}${keyed ? `?apikey=${key}` : ""}`;

interface Server {
  readonly base: string;
  readonly header: string;
}
const onDevice: Server = { base: "http://127.0.0.1:48484", header: "" };
const inCloud: Server = {
  base: "https://fairlead.<you>.workers.dev",
  header: ' -H "Authorization: Bearer <token or key>"',
};

function toCurl({ method, path }: Described, sample: Sample, { base, header }: Server): string {
  const way = method === "GET" ? "" : ` -X ${method}`;
  const url = `${base}${urlOf(path, sample, "<key>")}`;
  const { body } = sample;
  const sent = body === undefined ? "" : ` \\\n  -H 'Content-Type: application/json' -d '${JSON.stringify(body)}'`;
  return `curl${way}${header} ${/[?&]/.test(url) ? `'${url}'` : url}${sent}`;
}

const inputsOf = ({ params, body, bodyLimitBytes }: Described): string[] => [
  ...(params === none ? [] : [`- Parameters: ${formOf(params, "input")}`]),
  ...(body === none
    ? []
    : [`- Body: ${formOf(body, "input", bodyLimitBytes === undefined ? "" : `, at most ${limit(bodyLimitBytes)}`)}`]),
];

/** Statuses with the same body share a line. */
function repliesOf({ replies }: Described): string[] {
  const all = Object.entries(replies);
  const byBody = Object.groupBy(
    all.filter(([, { contentType }]) => contentType !== refusalType),
    ([, wire]) => wireText(wire),
  );
  const errors = all.flatMap(([status, { contentType, schema }]) =>
    schema && contentType === refusalType ? [`${status} ${refusalNames(schema)}`] : [],
  );
  return [
    ...Object.entries(byBody).map(
      ([body, entries = []]) => `- ${entries.map(([status]) => status).join(", ")}: ${body}`,
    ),
    ...(errors.length > 0 ? [`- Errors: ${errors.join("; ")}`] : []),
  ];
}

const refusalNames = (schema: z.ZodType): string =>
  [...shapeOf(schema, "output").matchAll(/"\/docs\/errors#([\w-]+)"/g)]
    .map(([, name = ""]) => `[\`${name}\`](errors.md#${name})`)
    .join(", ");

function wireText({ streamType, ...wire }: Wire<unknown>): string {
  const { type, contentType, contentTypes, schema } = wire;
  if (streamType !== undefined) return `${wireText(wire)}; or \`${streamType}\`, as it arrives`;
  if (contentTypes) return `text: ${contentTypes.map((one) => `\`${one}\``).join(" or ")}`;
  if (type === "empty") return "no body";
  if (type === "stream")
    return `\`${contentType ?? ""}\`, as it arrives${schema ? `; each line is ${formOf(schema, "output")}` : ""}`;
  if (!schema) return "a body";
  const shape = shapeOf(schema, "output");
  if (type !== "text") return formOf(schema, "output");
  return shape === "string" ? "text" : `text: ${shape.replace(/"/g, "`")}`;
}

function formOf(schema: z.ZodType, io: "input" | "output", more = ""): string {
  const notes = notesOf(schema, io).map((note) => `\n  - ${note}`);
  return `\`${shapeOf(schema, io)}\`${more}${notes.join("")}`;
}

const whoOf = ({ open, manages, device, scope, shell, person }: Described): string =>
  open
    ? "everybody, without a key"
    : shell || person
      ? "the global key"
      : manages
        ? "every key"
        : device
          ? "the global key; the key of a service, unless `SUPERVISOR_API_SCOPE=application`"
          : scope
            ? "the global key; the key of a service, for its own application"
            : "every key; with that of a service, it is about the service's own application";

const throughCloud = ({ method, writes, manages, shell }: Described): string =>
  shell ? "`--shell`" : manages ? "`--manage`" : method === "GET" && !writes ? "every token" : "`--write`";

async function deviceSection(name: string, endpoint: Described): Promise<string> {
  const sample = samples[name] ?? {};
  return [
    `### ${endpoint.method} ${endpoint.path}`,
    `${endpoint.summary}.`,
    [
      `- May: ${whoOf(endpoint)}. Through the cloud: ${throughCloud(endpoint)}`,
      ...inputsOf(endpoint),
      ...repliesOf(endpoint),
    ].join("\n"),
    code(`$ ${decodeURIComponent(toCurl(endpoint, sample, onDevice))}\n${await answerOf(name, endpoint, sample)}`),
  ].join("\n\n");
}

const code = (text: string): string => `\`\`\`console\n${text}\n\`\`\``;

/** Who may, at the endpoints between devices and cloud. */
const principals: Readonly<Record<string, string>> = {
  register: "a provisioning key",
  deviceState: "the device's key, the key of its services, every token",
  deviceStateV2: "as for version 3",
  fleetState: "the key of a device of the fleet, every token",
  report: "the device's key, the key of its services",
  setTags: "the device's key, the key of its services",
  sendLogStream: "the device's key",
  sendLogs: "the device's key",
  readLogs: "every token",
  supervisorProxy:
    "every token for requests that only read, else `--write`, `--manage` or `--shell` as above; the device's key, for itself",
} satisfies Record<keyof typeof cloudEndpoints, string>;

const composition = { services: { web: { image: "nginx:1", ports: ["80:80"] } } };
const uuid = "0123456789abcdef0123456789abcdef";

/** Bodies of requests to the cloud. */
const bodies: Readonly<Record<string, unknown>> = {
  register: { application: 1, uuid, device_type: "raspberrypi4-64" },
  report: { [uuid]: { os_version: "12.0.0", cpu_usage: 12 } },
  setTags: { [uuid]: { room: "kitchen" } },
  sendLogs: [{ message: "web is ready", timestamp: 1764410400123, serviceId: 1 }],
  supervisorProxy: { uuid, data: { appId: 1 } },
  createFleet: { name: "cameras", deviceType: "raspberrypi4-64" },
  changeFleet: { forbidden: ["privileged"] },
  createProvisioningKey: { lifetimeDays: 30, uses: 20 },
  createRelease: { composition, dryRun: true },
  setFleetVariables: { variables: { MODE: "night" } },
  setDeviceVariables: { service: "web", variables: { MODE: "night" } },
  changeDevice: { release: "latest" },
  createWebhook: { url: "https://example.com/hooks", kinds: ["device.offline"] },
  changeWebhook: { enabled: true },
  createToken: { name: "alice", fleets: "all", write: true, lifetimeDays: 90 },
} satisfies Partial<Record<keyof typeof cloudEndpoints | keyof typeof adminEndpoints, unknown>>;

/** Parameters of paths in the cloud. */
const values: Readonly<Record<string, string>> = {
  ...{
    uuid,
    fleetUuid: uuid,
    fleetId: "1",
    keyId: "1",
    name: "MODE",
    tokenId: "<token id>",
    webhookId: "<webhook id>",
  },
  path: "v1/restart",
  commit: "e607cafd5e0e",
};

function cloudSection(name: string, endpoint: Described, who: string): string {
  const params = Object.fromEntries(
    [...endpoint.path.matchAll(/:(\w+)/g)].map(([, param = ""]) => [param, values[param] ?? param]),
  );
  const body = bodies[name];
  expect([name, endpoint.params.safeParse(params).error, endpoint.body.safeParse(body ?? {}).error]).toEqual([
    name,
    undefined,
    undefined,
  ]);
  const curl = toCurl(endpoint, { params, body }, inCloud);
  return [
    `### ${endpoint.method} ${endpoint.path}`,
    `${endpoint.summary}.`,
    [`- May: ${who}`, ...inputsOf(endpoint), ...repliesOf(endpoint)].join("\n"),
    code(decodeURIComponent(curl)),
  ].join("\n\n");
}

const entriesOf = (list: Readonly<Record<string, Described>>) => Object.entries(list);

const intro = `# Endpoints

Every HTTP endpoint of the device and of the cloud. This page is generated from their descriptions in \`core/api\`; the answers of
the device are those of a device in memory. Long ids are shortened to \`5f2d…\`. In the forms of bodies, \`?\` means that a field may
be absent, \`[name]\` stands for any name, and \`any\` for any value: of \`force\`, \`cancel\`, \`follow\` and \`all\`, the values \`true\`, 1,
\`"1"\`, \`"true"\` and \`"on"\` mean yes, every other one no. \`{ … }\` is an object that is described elsewhere:
[compose.md](compose.md) for compositions, and \`examples/target.json\` for a target state.`;

const deviceIntro = `In local mode no key is needed. A device with a cloud wants its key: \`-H "Authorization: Bearer <key>"\`, or \`?apikey=<key>\`.
[security.md](security.md#keys-on-the-device) says which keys there are. Through the cloud, the same request is
\`POST /supervisor/<path>\`, with the path after the first slash: see [cloud.md](cloud.md#requests-to-devices). "May" names who may
send it on the device, and what a token of the cloud needs.

Where a body has \`force\`, \`true\` ignores [update locks](update-locks.md). Every endpoint also answers

- 400 for a body or a path that cannot be read, 413 for one that is too large, 415 for a form of a web page;
- 401 \`Unauthorized\` without a valid key, 403 to a web page of another origin, 421 for a foreign \`Host\`;
- 503 after an error that was not foreseen.

Their body is \`{ "status": "failed", "message": "…" }\`, where nothing else is said. Another path answers 404. Under \`/v3\`, all of
these are [problem details](errors.md).`;

const cloudIntro = `Devices send these requests, and \`POST /supervisor/…\` sends one to them. The credential is a header:
\`Authorization: Bearer <token or key>\`. A refusal has the body \`{ "error": "…" }\`, or none.`;

const adminIntro = `What \`fairlead cloud\` uses. The credential is a token, or the admin secret, which may everything. "May" names the permission
that a token needs: [security.md](security.md#tokens). A fleet or device that the token is not for is answered as if it did not exist.
Errors are [problem details](errors.md): besides those listed, 413 \`too-large\`, 429 \`too-many-failures\` and 503 \`unavailable\`.
\`/openapi.json\` of the cloud describes the same for programs, without a token. For balena's SDK, the cloud also answers a part of balena's public API
(\`/v7/…\`).`;

// A device is started for each endpoint.
test(
  "docs/endpoints.md has every endpoint, with what the code declares and what a device in memory answers",
  { timeout: 120_000 },
  async () => {
    const device = [];
    for (const [name, endpoint] of entriesOf(endpoints)) device.push(await deviceSection(name, endpoint));
    const between = entriesOf(cloudEndpoints).map(([name, endpoint]) =>
      cloudSection(name, endpoint, principals[name] ?? ""),
    );
    const admin = entriesOf(adminEndpoints).map(([name, endpoint]) =>
      cloudSection(name, endpoint, throughCloud(endpoint)),
    );
    const page = `${intro}

## The device: port 48484

${deviceIntro}

${device.join("\n\n")}

## Between devices and cloud

${cloudIntro}

${between.join("\n\n")}

## Administration of the cloud

${adminIntro}

${admin.join("\n\n")}
`;
    const file = join(import.meta.dirname, "../../docs/endpoints.md");
    const style = await resolveConfig(file);
    await expect(await format(page, { ...style, parser: "markdown" })).toMatchFileSnapshot(file);
  },
);
