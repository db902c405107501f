import { DurableObject } from "cloudflare:workers";
import { limits, noBytes, type RequestHead } from "../../../core/relay/frame.ts";
import type { Outgoing, Requester } from "../../../core/relay/requester.ts";
import { digestOf, keyInHeader, sameDigest } from "../auth/credential.ts";
import { coversDevice, isOwner, ownerGrant, type EnrolledDevice, type Grant } from "../auth/grant.ts";
import { directoryOf, type Env } from "../env.ts";
import { ApiKeyRotation } from "./api-key-rotation.ts";
import { deviceOffline, lateAnswer, readWhole, timedOut, toCallFailure, toFailure, wrongKey } from "./call-failure.ts";
import { Commands, mostWaiting } from "./commands.ts";
import { closeCodes, DeviceConnection } from "./device-connection.ts";
import {
  callHeader,
  SessionCall,
  type CallFailure,
  type Command,
  type CommandOptions,
  type ConnectionStatus,
  type DeviceSessionRpc,
  type PlainRequest,
  type PlainResponse,
} from "./device-session-rpc.ts";
import { operationOf, type Operation } from "./operation.ts";

const replaceAgainMs = 60_000;
const pingMs = 10_000;

/** A device that has lost its connection has this time to come back before it counts as offline. */
const offlineAfterMs = 10_000;

/** The headers of an answer that are passed on; others concern the device and its session. */
const relayedHeaders = new Set([
  "accept-idempotency-key",
  "allow",
  "cache-control",
  "content-disposition",
  "content-language",
  "content-type",
  "etag",
  "last-modified",
  "retry-after",
]);

interface Answer {
  readonly is: "answered";
  readonly status: number;
  readonly headers: RequestHead["headers"];
  readonly body: Outgoing["body"];
}

/** One object for each device: holds the device's socket and checks who may call it. Hibernates while no call is in progress. */
export class DeviceSession extends DurableObject<Env> implements DeviceSessionRpc {
  #enrolled: EnrolledDevice | undefined;
  readonly #connection: DeviceConnection;
  readonly #apiKey: ApiKeyRotation;
  readonly #commands: Commands;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#enrolled = state.storage.kv.get<EnrolledDevice>("enrolled");
    this.#connection = new DeviceConnection(state);
    this.#apiKey = new ApiKeyRotation({
      directory: () => directoryOf(env),
      requester: () => this.#connection.live()?.requester,
    });
    this.#commands = new Commands({
      kv: state.storage.kv,
      isOnline: () => this.#connection.live() !== undefined,
      mayCall: (grant) => this.#mayCall(grant),
      call: (grant, request, timeoutMs) => this.call(grant, request, timeoutMs),
      knowsKeys: () => this.#knowsKeys(),
      ended: async ({ id, request, state: is, answer }) => {
        const data = { command: id, request, state: is, ...(answer && { status: answer.status }) };
        if (this.#enrolled) await directoryOf(env).commandFinished(this.#enrolled.uuid, data);
      },
      wake: (ms) => this.#wake(ms),
    });
  }

  enroll(device: EnrolledDevice): void {
    if (this.#enrolled && this.#enrolled.keyDigest !== device.keyDigest) this.#connection.close(closeCodes.forgotten);
    this.#keep(device);
    if (device.replaceApiKey) void this.#replaceApiKey();
  }

  async forget(): Promise<void> {
    this.#connection.close(closeCodes.forgotten);
    this.#enrolled = undefined;
    await this.ctx.storage.deleteAll();
  }

  revoke(tokenIds: readonly string[]): void {
    if (this.#enrolled)
      this.#keep({ ...this.#enrolled, revoked: [...new Set([...this.#enrolled.revoked, ...tokenIds])] });
  }

  status(): ConnectionStatus {
    const connection = this.#connection.live();
    return { connected: connection !== undefined, since: connection?.since };
  }

  async call(
    grant: Grant,
    { method, path, headers, body }: PlainRequest,
    timeoutMs: number,
  ): Promise<PlainResponse | CallFailure> {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(timedOut), timeoutMs);
    const head: RequestHead = { method, path, headers };
    try {
      const answer = await this.#call(grant, head, body, timeout.signal);
      if (answer.is === "failed") return answer;
      const operation = operationOf(head);
      const whole = await readWhole(answer.body, operation);
      const contentType = answer.headers.find(([name]) => name === "content-type")?.[1];
      if (whole instanceof Uint8Array) return { is: "answered", status: answer.status, contentType, body: whole };
      return timeout.signal.aborted ? lateAnswer(operation) : whole;
    } finally {
      // A pending timer prevents hibernation, and that is billed.
      clearTimeout(timer);
    }
  }

  async queue(
    grant: Grant,
    request: PlainRequest,
    { waitMs, ...options }: CommandOptions,
  ): Promise<Command | CallFailure> {
    const operation = operationOf(request);
    if (!this.#mayCall(grant)) return deviceOffline;
    const refused = refusalOf(grant, operation);
    if (refused) return refused;
    const { body, path, method } = request;
    if (body.length > limits.chunkBytes)
      return { ...tooLarge, error: `A queued request has at most ${limits.chunkBytes} bytes` };
    const name = `${method} ${operation.path ?? path.split("?")[0]}`;
    const command = await this.#commands.add(grant, request, { ...options, name });
    if (!command) return { ...tooMany, error: `${mostWaiting} commands wait for this device already` };
    return (await this.#commands.find(command.id, waitMs)) ?? command;
  }

  commands(): readonly Command[] {
    return this.#commands.list();
  }

  command(id: string, waitMs: number): Promise<Command | undefined> {
    return this.#commands.find(id, waitMs);
  }

  cancelCommand(id: string): "cancelled" | "acting" | "ended" | "unknown" {
    return this.#commands.cancel(id);
  }

  /** Accepts a device's socket, or relays one request: with bodies as streams, and cancelled when the caller disconnects. */
  override async fetch(request: Request): Promise<Response> {
    if (request.headers.get("upgrade") === "websocket") return this.#accept(request);
    const { grant, head, bodyLength, timeoutMs } = SessionCall.parse(
      JSON.parse(request.headers.get(callHeader) ?? "null"),
    );
    const left = new AbortController();
    const timer = setTimeout(() => left.abort(timedOut), timeoutMs);
    request.signal.addEventListener("abort", () => left.abort(request.signal.reason));
    const body = !request.body
      ? noBytes
      : bodyLength <= limits.chunkBytes
        ? new Uint8Array(await request.arrayBuffer())
        : request.body;
    const answer = await this.#call(grant, head, body, left.signal);
    clearTimeout(timer);
    if (answer.is === "failed") return toFailure(answer);
    const { status, headers } = answer;
    return new Response(hasNoBody(status) ? null : answer.body, { status, headers: Object.fromEntries(headers) });
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    this.#connection.receive(socket, message);
  }

  override async webSocketClose(socket: WebSocket): Promise<void> {
    this.#connection.closed(socket);
    if (!this.#connection.live()) await this.#wake(offlineAfterMs);
  }

  override webSocketError(socket: WebSocket): Promise<void> {
    return this.webSocketClose(socket);
  }

  override async alarm(): Promise<void> {
    await this.#reportConnection();
    await this.#replaceApiKey();
    await this.#commands.run();
  }

  /** Sets the object's only alarm, unless it is earlier. */
  async #wake(ms: number): Promise<void> {
    const at = Date.now() + Math.max(0, ms);
    const set = await this.ctx.storage.getAlarm();
    if (set === null || set > at) await this.ctx.storage.setAlarm(at);
  }

  async #knowsKeys(): Promise<boolean> {
    const ping: RequestHead = { method: "GET", path: "/ping", headers: [] };
    const answer = await this.#call(ownerGrant, ping, noBytes, AbortSignal.timeout(pingMs));
    return answer.is === "answered" && answer.headers.some(([name]) => name === "accept-idempotency-key");
  }

  /** Tried again, if it fails: the directory lists devices by what it was told. */
  async #reportConnection(): Promise<void> {
    const { uuid } = this.#enrolled ?? {};
    if (uuid === undefined) return;
    const { connected, since } = this.status();
    try {
      await directoryOf(this.env).connectionChanged(uuid, connected, since);
    } catch (error) {
      console.warn(`The directory could not be told of a connection: ${String(error)}`);
      await this.ctx.storage.setAlarm(Date.now() + offlineAfterMs);
    }
  }

  async #call(
    grant: Grant,
    head: RequestHead,
    body: Outgoing["body"],
    signal: AbortSignal,
  ): Promise<CallFailure | Answer> {
    const operation = operationOf(head);
    const connection = this.#mayCall(grant) ? this.#connection.live() : undefined;
    if (!connection) return deviceOffline;
    const refused = refusalOf(grant, operation);
    if (refused) return refused;
    // The answer of an operation on credentials is a key, which `manage` allows.
    const sent: RequestHead = {
      ...head,
      ...(!grant.secrets && !operation.manages && { hideSecrets: true }),
      ...(operation.shell && { shell: isOwner(grant) ? "the owner" : `token ${grant.tokenId}` }),
    };
    const call = (requester: Requester) =>
      requester.call({ head: sent, body, allowed: () => this.#mayCall(grant) }, signal);
    const outcome = await (operation.manages
      ? this.#apiKey.request(this.#enrolled?.uuid ?? "", grant, call)
      : call(connection.requester));
    if (!outcome) return deviceOffline;
    return outcome.is === "answered"
      ? {
          is: "answered",
          status: outcome.head.status,
          headers: outcome.head.headers.filter(([name]) => relayedHeaders.has(name)),
          body: outcome.body,
        }
      : toCallFailure(outcome, operation);
  }

  /** Replaces an API key that is known to somebody whose access has ended, once the device is connected. Never rejects. */
  async #replaceApiKey(): Promise<void> {
    const isNeeded = () => this.#enrolled?.replaceApiKey === true;
    if (!this.#connection.live() || !this.#enrolled || !isNeeded()) return;
    const isReplaced = await this.#apiKey.replace(this.#enrolled.uuid, isNeeded, () => {
      if (this.#enrolled) this.#keep({ ...this.#enrolled, replaceApiKey: false });
    });
    if (!isReplaced) await this.#wake(replaceAgainMs);
  }

  #mayCall(grant: Grant): boolean {
    return this.#enrolled !== undefined && coversDevice(grant, this.#enrolled);
  }

  async #accept(request: Request): Promise<Response> {
    const key = keyInHeader(request);
    const digest = key === undefined ? undefined : await digestOf(key);
    const expected = this.#enrolled?.keyDigest;
    if (digest === undefined || expected === undefined || !sameDigest(digest, expected))
      return Response.json(wrongKey, { status: 401 });
    const webSocket = this.#connection.accept();
    void this.#reportConnection();
    void this.#replaceApiKey();
    void this.#commands.run();
    return new Response(null, { status: 101, webSocket });
  }

  #keep(device: EnrolledDevice): void {
    this.#enrolled = device;
    this.ctx.storage.kv.put("enrolled", device);
    this.#connection.review();
  }
}

const forbidden = { is: "failed", status: 403, error: "Forbidden", mayHaveActed: false } as const;
const noShell =
  'Forbidden: this token does not have the permission "shell". To make one that has: fairlead cloud token create --shell';

function refusalOf(grant: Grant, operation: Operation): CallFailure | undefined {
  if (operation.shell && !grant.shell) return { ...forbidden, error: noShell };
  return (operation.manages ? !grant.manage : !operation.shell && !operation.reads && !grant.write)
    ? forbidden
    : undefined;
}

const tooLarge = { is: "failed", status: 413, mayHaveActed: false } as const;
const tooMany = { is: "failed", status: 503, mayHaveActed: false } as const;

const hasNoBody = (status: number): boolean => status === 204 || status === 205 || status === 304;
