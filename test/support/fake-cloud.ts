import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { onTestFinished } from "vitest";
import * as z from "zod";

/**
 * A cloud that answers as the public one was recorded (test/cloud/recorded), traps included, over real HTTP: whole reports
 * are refused for one bad part, a 304 without an ETag stands for "no such device", and of too many log lines the last 50
 * are kept with a 201. test/cloud/fake-cloud.test.ts holds it to the recordings.
 */

export interface Release {
  readonly id: number;
  readonly services: Readonly<Record<string, { readonly image: string } & Readonly<Record<string, unknown>>>>;
}

export interface FakeDevice {
  readonly id: number;
  readonly uuid: string;
  readonly key: string;
  name: string;
  /** What GET state answers, without name. */
  target: { apps: Record<string, object>; config: Record<string, string> };
  /** The fields that it has reported, as they stand. */
  readonly fields: Record<string, unknown>;
  /** By image, as they stand; what a report with `apps` does not name is "deleted". */
  readonly installs: Map<string, { status?: string | undefined; progress?: number | null | undefined; commit: string }>;
  readonly runningRelease: Record<string, string>;
  readonly updateStatus: Record<string, string>;
  readonly tags: Record<string, string>;
  readonly logs: LogEntry[];
  readonly reports: object[];
}

const LogEntry = z.object({
  message: z.string(),
  timestamp: z.number(),
  isSystem: z.boolean().optional(),
  isStdErr: z.boolean().optional(),
  serviceId: z.number().optional(),
});
type LogEntry = z.output<typeof LogEntry>;

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  readonly status: number;
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

interface Question {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage["headers"];
  readonly key: string | undefined;
  readonly body: Buffer;
}

/** The 304 for a device that is not there has no ETag. */
const empty = (status: number, headers: Readonly<Record<string, string>> = {}): Answer => ({ status, headers });
const json = (status: number, value: unknown): Answer => ({
  status,
  headers: { "content-type": "application/json; charset=utf-8" },
  body: JSON.stringify(value),
});
const html = (status: number, body: string): Answer => ({
  status,
  headers: { "content-type": "text/html; charset=utf-8" },
  body,
});
const keyRequired = json(401, { error: "API key required" });

const limitBytes = 512 * 1024;

export class FakeCloud {
  readonly fleet = { id: 1, uuid: "e9eb9c68bb8547caa6b002595b443009", key: "<provisioning-key>" } as const;
  readonly devices = new Map<string, FakeDevice>();
  /** By commit. */
  readonly releases = new Map<string, { readonly app: string; readonly images: ReadonlySet<string> }>();
  /** Headers with which it answers for a target state, besides those recorded: what a Fairlead cloud says. */
  stateHeaders: Readonly<Record<string, string>> = {};
  /** Keys that the cloud knows and that open nothing here. */
  readonly otherKeys = new Set<string>();
  readonly asked: Asked[] = [];
  readonly deviceTypes = new Set(["generic-amd64", "raspberrypi3", "intel-nuc"]);
  readonly #next: { readonly path: RegExp; readonly answer: Answer }[] = [];
  /** When lines came, of the last half second. */
  readonly #recentLines = new Map<string, number[]>();
  readonly #now: () => number;
  #server: Server | undefined;
  #port = 0;
  #count = 0;

  /** `now`: milliseconds, of the time that the cloud's limits are about. */
  constructor(now: () => number = () => Date.now()) {
    this.#now = now;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Comes (back) to life, where it was before. */
  async start(): Promise<void> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { method = "", headers } = request;
        const url = new URL(request.url ?? "", "http://cloud");
        const key =
          /^Bearer (.+)$/i.exec(headers.authorization ?? "")?.[1] ?? url.searchParams.get("apikey") ?? undefined;
        const answer =
          this.#overridden(url) ?? this.#answer({ method, url, headers, key, body: Buffer.concat(chunks) });
        const packed = headers["content-encoding"] === "gzip";
        const sent = Buffer.concat(chunks);
        const text = packed ? unpacked(sent) : sent.toString();
        this.asked.push({ method, path: url.pathname, headers, body: text, status: answer.status });
        response.writeHead(answer.status, answer.headers).end(answer.body);
      });
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Nobody answers any more. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    server?.closeAllConnections();
    await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  }

  /** The next question for such a path gets this answer. */
  answerNext(path: RegExp, answer: Answer): void {
    this.#next.push({ path, answer });
  }

  addDevice(uuid: string, key: string): FakeDevice {
    const device: FakeDevice = {
      id: ++this.#count,
      uuid,
      key,
      name: "weathered-stream",
      target: { apps: {}, config: { RESIN_SUPERVISOR_POLL_INTERVAL: "600000" } },
      fields: {},
      installs: new Map(),
      runningRelease: {},
      updateStatus: {},
      tags: {},
      logs: [],
      reports: [],
    };
    this.devices.set(uuid, device);
    return device;
  }

  addRelease(commit: string, images: readonly string[], app = this.fleet.uuid): void {
    this.releases.set(commit, { app, images: new Set(images) });
  }

  /** Makes a release the target of a device. */
  setTarget(uuid: string, commit: string, release: Release & object, config: Record<string, string> = {}): void {
    const device = this.device(uuid);
    this.addRelease(
      commit,
      Object.values(release.services).map(({ image }) => image),
    );
    const { id, uuid: app } = this.fleet;
    device.target = {
      apps: { [app]: { id, name: "fleet-one", is_host: false, class: "fleet", releases: { [commit]: release } } },
      config: { ...device.target.config, ...config },
    };
  }

  device(uuid: string): FakeDevice {
    const device = this.devices.get(uuid);
    if (!device) throw new Error(`There is no device ${uuid}`);
    return device;
  }

  #overridden({ pathname }: URL): Answer | undefined {
    const at = this.#next.findIndex(({ path }) => path.test(pathname));
    return at < 0 ? undefined : this.#next.splice(at, 1)[0]?.answer;
  }

  #answer(question: Question): Answer {
    const { method, url, headers, key } = question;
    const path = url.pathname.replace(/(.)\/$/, "$1");
    let body: Buffer;
    try {
      body = headers["content-encoding"] === "gzip" ? gunzipSync(question.body) : question.body;
    } catch {
      // Not even the log stream says anything about it.
      return path.endsWith("/log-stream") ? empty(201) : html(400, "Bad Request");
    }
    if (!["gzip", undefined].includes(headers["content-encoding"])) return html(400, "Bad Request");
    const [, uuid = ""] = /^\/device\/v[23]\/([^/]+)\/(?:state|log-stream|logs)$/.exec(path) ?? [];
    if (/^\/device\/v3\/[^/]+\/state$/.test(path) && (method === "GET" || method === "HEAD"))
      return this.#state(uuid, key, headers);
    if (method === "POST" && path === "/device/register") return this.#register(body, key, headers);
    if (method === "PATCH" && path === "/device/v3/state") return this.#report(body, key, headers);
    if (method === "PATCH" && path === "/device/v3/tags") return this.#setTags(body, key);
    if (method === "POST" && path.endsWith("/log-stream")) return this.#logStream(uuid, body, key, headers);
    if (path.startsWith("/v7/")) return this.#odata(method, decodeURI(url.pathname + url.search), body, key);
    return html(404, "Not Found");
  }

  /** A key that may not be used at all, as far as routes for keys only are concerned. */
  #refusal(key: string | undefined): Answer | undefined {
    const known = [...this.devices.values()].some((device) => device.key === key);
    return known || key === this.fleet.key || (key !== undefined && this.otherKeys.has(key)) ? undefined : keyRequired;
  }

  #deviceOf(key: string | undefined): FakeDevice | undefined {
    return [...this.devices.values()].find((device) => device.key === key);
  }

  // ── State ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  #state(uuid: string, key: string | undefined, headers: IncomingMessage["headers"]): Answer {
    const device = this.devices.get(uuid);
    if (!device) return empty(304);
    if (device.key !== key) return empty(401);
    const body = JSON.stringify({ [uuid]: { name: device.name, ...device.target } });
    const hash = createHash("sha1").update(body).digest("base64").slice(0, 27);
    const etag = `W/"${Buffer.byteLength(body).toString(16)}-${hash}"`;
    const asked = headers["if-none-match"]?.split(/, */) ?? [];
    const matches = asked.some((one) => one === "*" || one.replace(/^W\//, "") === etag.replace(/^W\//, ""));
    if (matches && !headers["cache-control"]?.includes("no-cache")) return empty(304, { etag, ...this.stateHeaders });
    return {
      status: 200,
      headers: {
        "content-type": "application/json; charset=utf-8",
        etag,
        vary: "Accept-Encoding",
        ...this.stateHeaders,
      },
      body,
    };
  }

  // ── Registration ───────────────────────────────────────────────────────────────────────────────────────────────────

  #register(body: Buffer, key: string | undefined, headers: IncomingMessage["headers"]): Answer {
    const refusal = this.#refusal(key);
    if (refusal) return refusal;
    const parsed = headers["content-type"]?.startsWith("application/json") ? parse(body) : {};
    if (parsed === undefined) return html(400, "Bad Request");
    const shape = Registration.safeParse(parsed);
    if (!shape.success) return empty(400);
    const { application, device_type, uuid, api_key } = shape.data;
    if (!/^-?\d+$/.test(String(application))) return json(400, "Application ID must be a valid integer");
    if (device_type === undefined) return json(400, "Device type must be specified");
    if (uuid === undefined) return json(400, "UUID must be specified");
    if (!/^([0-9a-f]{32}|[0-9a-f]{62})$/.test(uuid))
      return json(400, "Device UUID must be a 32 or 62 character long lower case hex string.");
    if (!this.deviceTypes.has(device_type)) return json(404, `Unknown device type ${device_type}`);
    if (key !== this.fleet.key || Number(application) !== this.fleet.id) return empty(401);
    if (this.devices.has(uuid)) return html(409, '"uuid" must be unique.');
    const deviceKey = api_key ?? createHash("md5").update(uuid).digest("hex");
    if (this.#deviceOf(deviceKey)) return json(409, '"key" must be unique.');
    const { id } = this.addDevice(uuid, deviceKey);
    return json(201, { id, uuid, api_key: deviceKey });
  }

  // ── Report ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #report(body: Buffer, key: string | undefined, headers: IncomingMessage["headers"]): Answer {
    const refusal = this.#refusal(key);
    if (refusal) return refusal;
    if (!/^application\/(.+\+)?json/.test(headers["content-type"] ?? "")) return empty(401);
    if (body.byteLength > limitBytes) return html(413, "Payload Too Large");
    const parsed = parse(body);
    if (parsed === undefined) return html(400, "Bad Request");
    const device = this.#deviceOf(key);
    const entries = typeof parsed === "object" && parsed !== null ? Object.entries(parsed) : [];
    const values: unknown[] = entries.map(([, value]) => value);
    if (!device || entries.length === 0 || values.some((value) => typeof value !== "object" || value === null))
      return empty(401);
    const shape = Report.safeParse(values[0]);
    if (!shape.success) return empty(400);
    if (entries.length > 1 || entries[0]?.[0] !== device.uuid) return empty(401);
    const { apps, ...fields } = shape.data;
    if (apps && !this.#knowsAll(apps)) return empty(401);

    device.reports.push(values[0] as object);
    Object.assign(device.fields, fields);
    if (apps) this.#install(device, apps);
    return empty(200);
  }

  #knowsAll(apps: Apps): boolean {
    const named = Object.entries(apps).flatMap(([app, { release_uuid, releases = {} }]) => [
      ...(release_uuid === undefined ? [] : [{ app, commit: release_uuid, images: undefined }]),
      ...Object.entries(releases).map(([commit, { services = {} }]) => ({
        app,
        commit,
        images: Object.values(services).map(({ image }) => image),
      })),
    ]);
    const reported = named.flatMap(({ commit, images }) => (images ? [commit] : []));
    return named.every(({ app, commit, images = [] }) => {
      const release = this.releases.get(commit);
      if (release?.app !== app) return false;
      const rows = images.map((image) => rowOf(image, release.images));
      const isShared = (row: string) =>
        reported.some((other) => other !== commit && this.releases.get(other)?.images.has(row));
      const everywhere = (row: string) =>
        named.every(
          (other) =>
            !other.images ||
            !this.releases.get(other.commit)?.images.has(row) ||
            other.images.some((image) => rowOf(image, new Set([row]))),
        );
      return (
        rows.every((row) => row !== undefined && (!isShared(row) || everywhere(row))) &&
        new Set(rows).size === rows.length
      );
    });
  }

  #install(device: FakeDevice, apps: Apps): void {
    for (const install of device.installs.values()) install.status = "deleted";
    for (const [app, { release_uuid, releases = {} }] of Object.entries(apps)) {
      if (release_uuid !== undefined) device.runningRelease[app] = release_uuid;
      for (const [commit, { update_status, services = {} }] of Object.entries(releases)) {
        if (update_status !== undefined) device.updateStatus[app] = update_status;
        for (const { image, status, download_progress: progress } of Object.values(services)) {
          const row = rowOf(image, this.releases.get(commit)?.images ?? new Set()) ?? image;
          const before = device.installs.get(row)?.progress;
          device.installs.set(row, { status, progress: progress === undefined ? before : progress, commit });
        }
      }
    }
  }

  // ── Tags ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  #setTags(body: Buffer, key: string | undefined): Answer {
    const refusal = this.#refusal(key);
    if (refusal) return refusal;
    const device = this.#deviceOf(key);
    const parsed = z.record(z.string(), z.record(z.string().min(1).max(100), z.string())).safeParse(parse(body));
    if (!parsed.success) return empty(400);
    const tags = device && parsed.data[device.uuid];
    if (!tags) return empty(401);
    if (Object.keys(tags).length === 0) return json(400, "No tags were sent to be updated.");
    if (Object.keys(tags).some((name) => /\s|^io\.(resin|balena)\./.test(name))) return empty(400);
    Object.assign(device.tags, tags);
    return empty(200);
  }

  #odata(method: string, path: string, body: Buffer, key: string | undefined): Answer {
    const device = this.#deviceOf(key);
    if (!device) return empty(401);
    if (method === "PATCH") {
      const parsed = z.object({ device_name: z.string().max(255) }).safeParse(parse(body));
      if (!parsed.success) return empty(500);
      if (path === `/v7/device(${device.id})`) device.name = parsed.data.device_name;
      return empty(200);
    }
    if (path.startsWith("/v7/device_tag?"))
      return json(200, {
        d: Object.entries(device.tags).map(([tag_key, value], n) => ({ id: 1 + n, tag_key, value })),
      });
    return json(200, { d: path.includes(`uuid eq '${device.uuid}'`) ? [{ id: device.id }] : [] });
  }

  // ── Logs ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  #logStream(uuid: string, body: Buffer, key: string | undefined, headers: IncomingMessage["headers"]): Answer {
    const refusal = this.#refusal(key);
    if (refusal) return refusal;
    const device = this.devices.get(uuid);
    // The real one takes 55 seconds for that.
    if (!device || device.key !== key) return empty(401);
    if (headers["content-type"] !== "application/x-ndjson")
      return json(415, "Streaming requests require Content-Type application/x-ndjson");
    const rows = body
      .toString()
      .split("\n")
      .filter((row) => row !== "");
    const values = rows.map((row) => parse(Buffer.from(row)));
    const lines = values.flatMap((value) => LogEntry.safeParse(value).data ?? []);

    const now = this.#now();
    const recent = (this.#recentLines.get(uuid) ?? []).filter((at) => now - at < 450);
    this.#recentLines.set(uuid, [...recent, ...lines.map(() => now)]);
    const room = Math.max(0, 50 - recent.length);
    const suppressed = Math.max(0, lines.length - room);
    if (suppressed > 0)
      device.logs.push({
        message: `Warning: Suppressed ${suppressed} message(s) due to rate limiting`,
        timestamp: now,
        isSystem: true,
        isStdErr: true,
      });
    device.logs.push(...lines.slice(suppressed));
    const broken = rows[values.indexOf(undefined)];
    return broken === undefined ? empty(201) : html(400, `Could not parse row ${broken}...`);
  }
}

/** A cloud that ends with the test. */
export async function startCloud(now?: () => number): Promise<FakeCloud> {
  const cloud = new FakeCloud(now);
  await cloud.start();
  onTestFinished(() => cloud.stop());
  return cloud;
}

function unpacked(bytes: Buffer): string {
  try {
    return gunzipSync(bytes).toString();
  } catch {
    return "";
  }
}

/** Left out, the digest does not matter; given, it must be right. */
const rowOf = (image: string, known: ReadonlySet<string>): string | undefined =>
  [...known].find((row) => row === image || row.split("@")[0] === image);

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}

const Registration = z.object({
  user: z.number().optional(),
  application: z.union([z.number(), z.string()]).optional(),
  device_type: z.string().optional(),
  uuid: z.string().optional(),
  api_key: z.string().optional(),
  supervisor_version: z.string().optional(),
  os_version: z.string().optional(),
  os_variant: z.string().optional(),
  mac_address: z.string().optional(),
});

const metric = z.int().nullable().optional();
const Apps = z.record(
  z.string(),
  z.object({
    release_uuid: z.string().optional(),
    releases: z
      .record(
        z.string(),
        z.object({
          update_status: z
            .enum(["rejected", "aborted", "downloading", "downloaded", "applying changes", "done"])
            .optional(),
          services: z
            .record(
              z.string(),
              z.object({ image: z.string(), status: z.string().optional(), download_progress: metric }),
            )
            .optional(),
        }),
      )
      .optional(),
  }),
);
type Apps = z.output<typeof Apps>;

const Report = z.object({
  status: z.string().optional(),
  os_version: z.string().nullable().optional(),
  os_variant: z.string().nullable().optional(),
  supervisor_version: z.string().optional(),
  provisioning_progress: metric,
  provisioning_state: z.string().nullable().optional(),
  ip_address: z.string().optional(),
  mac_address: z.string().optional(),
  api_port: z.int().optional(),
  api_secret: z.string().nullable().optional(),
  cpu_id: z.string().nullable().optional(),
  is_undervolted: z.boolean().optional(),
  is_online: z.boolean().optional(),
  memory_usage: metric,
  memory_total: metric,
  storage_block_device: z.string().nullable().optional(),
  storage_usage: metric,
  storage_total: metric,
  cpu_temp: metric,
  cpu_usage: metric,
  apps: Apps.optional(),
});
