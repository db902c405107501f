import { DurableObject } from "cloudflare:workers";
import { cloudLine, withoutRepeated, type ParsedLine } from "../../../core/fleet/log-lines.ts";
import { authenticationOf, coversDevice, type Authentication, type EnrolledDevice } from "../auth/grant.ts";
import type { Env } from "../env.ts";
import type { DeviceLogsRpc } from "./device-logs-rpc.ts";
import { LogIntake, refuse } from "./log-intake.ts";
import { LogReader } from "./log-reader.ts";
import { LogStore } from "./log-store.ts";

const defaultCount = 1000;
/** Of each kind: followers of the log, and readers of the existing lines. */
const mostReaders = 10;

/** The log of a device, and its readers. An object of its own, so that a device that logs much does not slow down its session. */
export class DeviceLogs extends DurableObject<Env> implements DeviceLogsRpc {
  #enrolled: EnrolledDevice | undefined;
  /** Absent for an unknown device: nothing is stored for it. */
  #store: LogStore | undefined;
  readonly #readers = new Set<LogReader>();
  readonly #intake = new LogIntake({
    store: (lines, last) => this.#append(lines, last),
    last: () => this.#store?.last() ?? [],
  });

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#enrolled = state.storage.kv.get<EnrolledDevice>("enrolled");
    if (this.#enrolled) this.#store = new LogStore(state.storage);
  }

  enroll(device: EnrolledDevice): void {
    this.#enrolled = device;
    this.ctx.storage.kv.put("enrolled", device);
    this.#store ??= new LogStore(this.ctx.storage);
    for (const reader of this.#readers) if (!coversDevice(reader.grant, device)) reader.close();
  }

  async forget(): Promise<void> {
    for (const reader of this.#readers) reader.close();
    this.#enrolled = undefined;
    this.#store = undefined;
    await this.ctx.storage.deleteAll();
  }

  /** `/device/v2/:uuid/log-stream` and `/device/v2/:uuid/logs`. */
  override async fetch(request: Request): Promise<Response> {
    const authentication = authenticationOf(request);
    const url = new URL(request.url);
    const isLogs = url.pathname.endsWith("/logs");
    if (request.method === "GET" && isLogs) return this.#read(request, url, authentication);
    if (request.method !== "POST") return refuse(405, "Expected GET or POST");
    if (authentication.is !== "key") return Response.json({ error: "API key required" }, { status: 401 });
    if (authentication.digest !== this.#enrolled?.keyDigest) return new Response(null, { status: 401 });
    return isLogs ? this.#intake.takeBatch(request) : this.#intake.takeStream(request);
  }

  /** Stores lines that are not in `last`, and sends them to the readers. Invalid lines are counted in a warning. */
  #append(parsed: readonly ParsedLine[], last: readonly string[]): void {
    const at = Date.now();
    const all = parsed.flatMap((one) => (one.is === "line" ? [one.text] : []));
    const odd = parsed.filter(({ is }) => is === "odd").length;
    const lines = [
      ...withoutRepeated(all, last),
      ...(odd > 0 ? [cloudLine(`Warning: ${odd} log lines were not of the expected shape, and are left out`, at)] : []),
    ];
    if (!this.#store || lines.length === 0) return;
    for (const arrival of this.#store.append(lines, at)) for (const reader of this.#readers) reader.deleted(arrival);
    for (const reader of this.#readers) reader.pull();
  }

  #read({ signal }: Request, { pathname, searchParams }: URL, authentication: Authentication): Response {
    if (authentication.is !== "person") return new Response(null, { status: 401 });
    const { grant } = authentication;
    const store = this.#store;
    if (!store || !this.#enrolled || !coversDevice(grant, this.#enrolled))
      return refuse(404, `No device with uuid ${pathname.split("/")[3]}`);
    const follows = isOn(searchParams.get("stream"));
    const readers = [...this.#readers].filter((one) => one.follows === follows);
    if (readers.length >= mostReaders) {
      // Sending to a client that has disconnected closes its reader, which makes room.
      for (const one of readers) one.sendHeartbeat();
      return refuse(
        429,
        follows
          ? `This log is followed by ${mostReaders} readers already: end one of them first`
          : `This log is being read by ${mostReaders} readers already: try again soon`,
      );
    }
    const count = countOf(searchParams.get("count"), follows ? 0 : defaultCount);
    const reader: LogReader = new LogReader({
      grant,
      follows,
      from: store.positionOf(count, startOf(searchParams.get("start"))),
      next: (after) => this.#store?.next(after),
      closed: () => this.#readers.delete(reader),
    });
    this.#readers.add(reader);
    // The platform does not cancel a silent stream when its client disconnects.
    signal.addEventListener("abort", () => reader.close());
    return new Response(reader.stream, {
      headers: {
        "content-type": follows ? "application/x-ndjson" : "application/json; charset=utf-8",
        "cache-control": "no-cache",
      },
    });
  }
}

const isOn = (text: string | null): boolean => text === "1" || text === "true";

function countOf(text: string | null, otherwise: number): number {
  if (text === "all") return Infinity;
  const count = Number(text ?? otherwise);
  return Number.isInteger(count) && count >= 0 ? count : otherwise;
}

/** Milliseconds since the epoch, or ISO 8601. */
function startOf(text: string | null): number {
  if (text === null) return 0;
  const ms = /^\d+$/.test(text) ? Number(text) : Date.parse(text);
  return Number.isNaN(ms) ? 0 : ms;
}
