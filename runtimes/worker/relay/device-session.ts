import { DurableObject } from "cloudflare:workers";
import * as z from "zod";
import { Requester, type Outcome, type Outgoing } from "../../../core/relay/requester.ts";
import { joined } from "../../../core/relay/flow.ts";
import { limits, noBytes, ProtocolError, RequestHead, type Bytes } from "../../../core/relay/frame.ts";
import { Grant, coversFleet, digestOf, keyInHeader } from "../auth/access.ts";
import { directoryOf, type Env } from "../env.ts";
import { operationOf, type Operation } from "./operation.ts";

/** Who a device is, as its session must know it; the directory tells. */
export interface Enrolled {
  readonly uuid: string;
  readonly deviceId: number;
  readonly fleetId: number;
  /** SHA-256 of the device's key, as hex. */
  readonly keyDigest: string;
  /** Ids of tokens that are refused. */
  readonly revoked: readonly string[];
  /** Somebody whose access has ended knows the key of the device's API: it is to be replaced. */
  readonly replaceApiKey?: boolean;
}

/** A whole request, for several devices at once. */
export interface PlainRequest extends RequestHead {
  readonly body: Bytes;
}

export interface PlainResponse {
  readonly is: "answered";
  readonly status: number;
  readonly body: Bytes;
}

/** No answer of the device, and what to say instead. */
export interface CallFailure {
  readonly is: "failed";
  readonly status: 403 | 404 | 413 | 502 | 503 | 504;
  readonly error: string;
  /** Whether the request has left for the device, which may have done what it asks. */
  readonly mayHaveActed: boolean;
}

/**
 * What our Worker says to a session beside the body, all of it in one header: each one more takes longer than all else
 * that is done with it. Only our Worker can reach a session with it.
 */
export const callHeader = "x-fairlead-call";

const SessionCall = z.object({
  grant: Grant,
  head: RequestHead,
  /** Bytes; the Worker has the body whole. */
  bodyLength: z.int(),
  timeoutMs: z.number(),
});
export type SessionCall = z.output<typeof SessionCall>;

/** A whole answer for fan-out holds no more; the caller can ask that device alone, and gets a stream. */
const wholeAnswerBytes = 1024 * 1024;

/** The device keeps the new key to itself. */
const regenerateApiKey: RequestHead = {
  method: "POST",
  path: "/v1/regenerate-api-key",
  headers: [],
  hideSecrets: true,
};
const replaceMs = 30_000;
const replaceAgainMs = 60_000;

/** A device that has pinged no more for that long is gone, whatever its socket says; it pings every 30 s. */
const silentMs = 100_000;

/** Of the answer; what else a device says is between it and us. */
const relayedHeaders = new Set([
  "allow",
  "cache-control",
  "content-disposition",
  "content-language",
  "content-type",
  "etag",
  "last-modified",
  "retry-after",
]);

/** Told to a device before its socket is closed, which it may never see closed. */
const closeCodes = { replaced: 4001, protocol: 4002, forgotten: 4003 } as const;

interface Connection {
  readonly socket: WebSocket;
  readonly requester: Requester;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** One for each device: holds the device's socket, and lets through who may call it. Sleeps while nobody does. */
export class DeviceSession extends DurableObject<Env> {
  #enrolled: Enrolled | undefined;
  #connection: Connection | undefined;
  /** The API key of the device is asked for by one at a time, so that the last to be told it knows the one that is good. */
  #apiKeyTurn: Promise<unknown> = Promise.resolve();

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    // Answered by the platform, without waking us.
    state.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    this.#enrolled = state.storage.kv.get<Enrolled>("enrolled");
    // After a hibernation the sockets are still there. Calls are not: while one is open, there is no hibernation.
    const socket = state.getWebSockets().findLast(({ readyState }) => readyState === WebSocket.OPEN);
    if (socket) this.#open(socket, Attachment.parse(socket.deserializeAttachment()).since).forgetOthers();
  }

  enroll(record: Enrolled): void {
    if (this.#enrolled && this.#enrolled.keyDigest !== record.keyDigest) this.#dismiss(closeCodes.forgotten);
    this.#keep(record);
    if (record.replaceApiKey) void this.#replaceApiKey();
  }

  async forget(): Promise<void> {
    this.#dismiss(closeCodes.forgotten);
    this.#enrolled = undefined;
    await this.ctx.storage.deleteAll();
  }

  revoke(tokenIds: readonly string[]): void {
    if (this.#enrolled)
      this.#keep({ ...this.#enrolled, revoked: [...new Set([...this.#enrolled.revoked, ...tokenIds])] });
  }

  status(): { connected: boolean; since: number | undefined } {
    const connection = this.#live();
    return { connected: connection !== undefined, since: connection?.since };
  }

  /** One whole request, one whole answer. Never throws. */
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
      if (whole instanceof Uint8Array) return { is: "answered", status: answer.status, body: whole };
      return timeout.signal.aborted ? lateAnswer(operation) : whole;
    } finally {
      // A timer that is left keeps us awake, and that is billed.
      clearTimeout(timer);
    }
  }

  /** A device that dials in, or one request for it: with its body and answer as streams, and heard when the caller leaves. */
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
    if (socket !== this.#connection?.socket) return;
    try {
      if (typeof message === "string") throw new ProtocolError("Text, which only keeps the socket open");
      this.#connection.requester.receive(message);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      console.warn(`The device does not keep to the protocol: ${error.message}`);
      this.#dismiss(closeCodes.protocol);
    }
  }

  override webSocketClose(socket: WebSocket): void {
    if (socket === this.#connection?.socket) this.#drop("the connection to the device has ended");
  }

  override webSocketError(socket: WebSocket): void {
    this.webSocketClose(socket);
  }

  async #call(
    grant: Grant,
    head: RequestHead,
    sent: Outgoing["body"],
    signal: AbortSignal,
  ): Promise<
    CallFailure | { is: "answered"; status: number; headers: RequestHead["headers"]; body: Outgoing["body"] }
  > {
    const operation = operationOf(head);
    const connection = this.#mayCall(grant) ? this.#live() : undefined;
    if (!connection) return { is: "failed", status: 404, error: offline, mayHaveActed: false };
    if (operation.manages ? !grant.manage : !grant.write && !operation.reads)
      return { is: "failed", status: 403, error: "Forbidden", mayHaveActed: false };
    // Who may manage is told keys, which are what is asked for then.
    const shown: RequestHead = grant.secrets || operation.manages ? head : { ...head, hideSecrets: true };
    const ask = (requester: Requester) =>
      requester.call({ head: shown, body: sent, allowed: () => this.#mayCall(grant) }, signal);
    const outcome = await (operation.manages ? this.#tellApiKey(grant, ask) : ask(connection.requester));
    if (!outcome) return { is: "failed", status: 404, error: offline, mayHaveActed: false };
    return outcome.is === "answered"
      ? {
          is: "answered",
          status: outcome.head.status,
          headers: outcome.head.headers.filter(([name]) => relayedHeaders.has(name)),
          body: outcome.body,
        }
      : toCallFailure(outcome, operation);
  }

  /**
   * Asks for a new API key. The directory learns who will know it before the device is asked, and afterwards that those
   * who knew earlier ones do so no more. Undefined: the directory says that this caller may not ask, or the device has gone.
   */
  #tellApiKey(grant: Grant, ask: (requester: Requester) => Promise<Outcome>): Promise<Outcome | undefined> {
    return this.#inApiKeyTurn(async (directory, uuid) => {
      const isAllowed = await directory.apiKeyAsked(uuid, grant);
      const connection = isAllowed ? this.#live() : undefined;
      const outcome = connection && (await ask(connection.requester));
      if (outcome && isDone(outcome)) await directory.apiKeyReplaced(uuid, grant.tokenId);
      return outcome;
    });
  }

  /** Replaces an API key that somebody knows who should no more, and tells nobody the new one. Never rejects. */
  async #replaceApiKey(): Promise<void> {
    // A device that is not connected is asked when it is.
    if (!this.#live() || !this.#enrolled?.replaceApiKey) return;
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(timedOut), replaceMs);
    try {
      await this.#inApiKeyTurn(async (directory, uuid) => {
        const connection = this.#live();
        if (!connection || !this.#enrolled?.replaceApiKey) return;
        const outcome = await connection.requester.call({ head: regenerateApiKey, body: noBytes }, timeout.signal);
        if (!isDone(outcome)) throw new Error(outcome.is === "answered" ? `status ${outcome.head.status}` : outcome.is);
        await directory.apiKeyReplaced(uuid);
        this.#keep({ ...this.#enrolled, replaceApiKey: false });
      });
    } catch (error) {
      console.warn(
        `The device's API key could not be replaced; it is tried again: ${error instanceof Error ? error.message : String(error)}`,
      );
      await this.ctx.storage.setAlarm(Date.now() + replaceAgainMs);
    } finally {
      clearTimeout(timer);
    }
  }

  #inApiKeyTurn<T>(act: (directory: ReturnType<typeof directoryOf>, uuid: string) => Promise<T>): Promise<T> {
    const turn = this.#apiKeyTurn.then(() => act(directoryOf(this.env), this.#enrolled?.uuid ?? ""));
    this.#apiKeyTurn = turn.catch(() => {});
    return turn;
  }

  override async alarm(): Promise<void> {
    await this.#replaceApiKey();
  }

  #mayCall(grant: Grant): boolean {
    const enrolled = this.#enrolled;
    if (!enrolled || enrolled.revoked.includes(grant.tokenId)) return false;
    return grant.device === undefined ? coversFleet(grant, enrolled.fleetId) : grant.device === enrolled.uuid;
  }

  async #accept(request: Request): Promise<Response> {
    const key = keyInHeader(request);
    const digest = key === undefined ? undefined : await digestOf(key);
    const expected = this.#enrolled?.keyDigest;
    if (digest === undefined || expected === undefined || !sameDigest(digest, expected))
      return Response.json(wrongKey, { status: 401 });

    // The newest connection wins: a device that dials again has lost the old one, even if nobody has told us.
    this.#dismiss(closeCodes.replaced);
    const { 0: theirs, 1: ours } = new WebSocketPair();
    this.ctx.acceptWebSocket(ours);
    const since = Date.now();
    ours.serializeAttachment({ since });
    this.#open(ours, since);
    void this.#replaceApiKey();
    return new Response(null, { status: 101, webSocket: theirs });
  }

  #open(socket: WebSocket, since: number): Requester {
    const firstId = 1 + Math.floor(Math.random() * 0x7fff_ffff);
    const send = (message: Bytes) => {
      try {
        socket.send(message);
      } catch {
        // Closed: that event comes, and fails whatever waits for an answer.
      }
    };
    const requester = new Requester({ send, tick, firstId });
    this.#connection = { socket, requester, since };
    return requester;
  }

  /** The line, unless the device at its end is silent for so long that it must be gone. */
  #live() {
    const connection = this.#connection;
    if (!connection || connection.socket.readyState !== WebSocket.OPEN) return undefined;
    const pinged = this.ctx.getWebSocketAutoResponseTimestamp(connection.socket)?.getTime() ?? 0;
    return Date.now() - Math.max(pinged, connection.since) < silentMs ? connection : undefined;
  }

  /** Tells the device to go. A socket that is closed from here may stay half open; the text is what makes it leave. */
  #dismiss(code: (typeof closeCodes)[keyof typeof closeCodes]): void {
    for (const socket of this.ctx.getWebSockets())
      try {
        socket.send(`bye:${code}`);
        socket.close(code);
      } catch {
        // Gone already.
      }
    this.#drop(code === closeCodes.replaced ? "the device has connected anew" : "the connection to the device was cut");
  }

  #drop(reason: string): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.requester.close(reason);
  }

  #keep(record: Enrolled): void {
    this.#enrolled = record;
    this.ctx.storage.kv.put("enrolled", record);
    this.#connection?.requester.review();
  }
}

const isDone = (outcome: Outcome): boolean => outcome.is === "answered" && outcome.head.status === 200;

const tick = () => new Promise<void>((resolve) => setTimeout(resolve));

export const wrongKey = "The device's key is missing or not known";

export const offline = "No online device(s) found";

/** The reason of our own abort, to be told from the caller's. */
const timedOut = "timeout";

const hasNoBody = (status: number): boolean => status === 204 || status === 205 || status === 304;

/** Errors about the choice of a device are bare sentences, as in the public API; others say whether it may have acted. */
const toFailure = ({ status, error, mayHaveActed }: CallFailure): Response =>
  status === 403 || status === 404
    ? Response.json(error, { status })
    : Response.json({ error, mayHaveActed }, { status, ...(status === 503 && { headers: { "retry-after": "1" } }) });

function toCallFailure(outcome: Exclude<Outcome, { is: "answered" }>, operation: Operation): CallFailure {
  const mayHaveActed = !operation.reads;
  switch (outcome.is) {
    case "busy":
      return {
        is: "failed",
        status: 503,
        error: "The device is busy with other requests; it was not asked",
        mayHaveActed: false,
      };
    case "too large":
      return { is: "failed", status: 413, error: `The request is too large: ${outcome.reason}`, mayHaveActed: false };
    case "broken":
      return {
        is: "failed",
        status: 502,
        error: `No answer of the device: ${outcome.reason}; ${acted(operation)}`,
        mayHaveActed,
      };
    case "aborted":
      return outcome.reason === timedOut
        ? lateAnswer(operation)
        : { is: "failed", status: 502, error: `The caller has left; ${acted(operation)}`, mayHaveActed };
  }
}

const lateAnswer = (operation: Operation): CallFailure => ({
  is: "failed",
  status: 504,
  error: `The device has not answered in time; ${acted(operation)}`,
  mayHaveActed: !operation.reads,
});

const acted = ({ reads }: Operation): string =>
  reads ? "it was only asked to read" : "it may have done what was asked, or may still do it";

/** The body, or why it is none. */
async function readWhole(body: Outgoing["body"], operation: Operation): Promise<Bytes | CallFailure> {
  if (body instanceof Uint8Array) return body;
  const parts: Bytes[] = [];
  let size = 0;
  try {
    for await (const part of body) {
      parts.push(part);
      size += part.length;
      // Leaving the loop cancels the stream, and with it what the device does for it.
      if (size > wholeAnswerBytes)
        return {
          is: "failed",
          status: 502,
          error: `The answer is larger than ${wholeAnswerBytes} bytes: ask this device alone`,
          mayHaveActed: !operation.reads,
        };
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return {
      is: "failed",
      status: 502,
      error: `The answer broke off: ${reason}; ${acted(operation)}`,
      mayHaveActed: !operation.reads,
    };
  }
  return joined(parts, size);
}

/** With a socket, for after a hibernation. */
const Attachment = z.object({ since: z.number() });

const encoder = new TextEncoder();

const sameDigest = (a: string, b: string): boolean =>
  a.length === b.length && crypto.subtle.timingSafeEqual(encoder.encode(a), encoder.encode(b));
