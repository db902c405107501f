import type { Fetch } from "../../../core/http/fetch.ts";
import { redact } from "../../../core/model/secrets.ts";
import { messageOf } from "../../../core/model/show.ts";
import type { Clock } from "../../../core/ports/clock.ts";
import type { Log } from "../../../core/ports/log.ts";
import type { Tunnel, TunnelState } from "../../../core/ports/tunnel.ts";
import { ProtocolError } from "../../../core/relay/frame.ts";
import { Responder } from "../../../core/relay/responder.ts";

export interface TunnelOptions {
  /** The cloud's address; its scheme is http, https, ws or wss. */
  readonly url: string;
  readonly uuid: string;
  /** The device's own key. */
  readonly key: string;
  /** The value of the `User-Agent` header. */
  readonly userAgent?: string;
  /** The function that also serves port 48484. */
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether there should be a connection now. Called repeatedly. Without it there always should. */
  readonly isWanted?: () => boolean;
  /** Called each time a connection has been opened. */
  readonly opened?: () => void;
  /** Time between pings. A connection ends at the latest after twice this time without a message. */
  readonly pingMs?: number;
}

export interface RunningTunnel extends Tunnel {
  /** Closes the connection and cancels its requests. */
  readonly stop: () => void;
}

/** Why a connection ended. */
interface End {
  readonly reason: string;
  /** The next attempt: the usual one, a late one because another agent has our uuid, or a rare one without tunnels. */
  readonly next: "redial" | "stand back" | "other cloud";
  /** How long the connection was open. Undefined if it was never opened. */
  readonly upMs: number | undefined;
}

/** Connects to the cloud, and reconnects until it is stopped. Serves the API of port 48484 on the socket. */
export function startTunnel(options: TunnelOptions): RunningTunnel {
  const { clock, log, isWanted = () => true, pingMs = defaultPingMs } = options;
  const address = addressOf(options);
  const stop = new AbortController();
  let state: TunnelState = { is: "disconnected" };

  const run = async () => {
    let failures = 0;
    let replacements = 0;
    let told: string | undefined;
    let toldOfOtherCloud = false;
    while (!stop.signal.aborted) {
      if (!isWanted()) {
        state = { is: "disconnected", error: unwanted };
        await clock.sleep(pingMs, stop.signal);
        continue;
      }
      const end = await connect(options, address, stop.signal, () => {
        state = { is: "connected", since: clock.now() };
        told = undefined;
        log.info(`Connected to the cloud at ${address.host}`);
        options.opened?.();
      });
      state = { is: "disconnected", error: end.reason };
      if (stop.signal.aborted) return;
      // Log a reason once, not at every attempt. Log only once ever that the cloud has no tunnels.
      if (end.next === "other cloud") {
        if (!toldOfOtherCloud) log.info(`Polling the cloud at ${address.host} without a tunnel: ${end.reason}`);
        toldOfOtherCloud = true;
      } else if (told !== end.reason) log.warn(`No connection to the cloud at ${address.host}: ${end.reason}`);
      told = end.reason;
      failures = (end.upMs ?? 0) > steadyMs ? 0 : failures + 1;
      const isReplaced = end.next === "stand back";
      replacements = isReplaced ? replacements + 1 : (end.upMs ?? 0) > steadyMs ? 0 : replacements;
      const longestMs = end.next === "other cloud" ? otherCloudMs : usualMs;
      await clock.sleep(
        isReplaced ? standBackMs(replacements, clock) : redialMs(failures, clock, longestMs),
        stop.signal,
      );
    }
  };
  void run();
  return { state: () => state, stop: () => stop.abort() };
}

/** A connection that was open for longer than this resets the back-off. */
const steadyMs = 60_000;

export const defaultPingMs = 30_000;
const usualMs = 60_000;
/** The longest delay for a cloud without tunnels, such as balena's. It gets tunnels only if its operator changes it. */
const otherCloudMs = 60 * 60_000;

const unwanted = "SUPERVISOR_VPN_CONTROL is off";

/** Full jitter, because a deployment of the cloud disconnects all devices at the same moment. */
export const redialMs = (failures: number, clock: Pick<Clock, "random">, longestMs = usualMs): number =>
  clock.random() * Math.min(longestMs, 1000 * 2 ** Math.min(failures, 12));

/** Two agents with the same uuid disconnect each other. The disconnected one waits longer each time. */
export const standBackMs = (replacements: number, clock: Pick<Clock, "random">): number =>
  15_000 + clock.random() * Math.min(15 * 60_000, 15_000 * 2 ** Math.min(replacements, 10));

function addressOf({ url, uuid }: TunnelOptions): URL {
  const address = new URL(url);
  address.protocol = address.protocol.replace(/^http/, "ws");
  address.pathname = `${address.pathname.replace(/\/+$/, "")}/tunnel/${uuid}`;
  return address;
}

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Opens a connection. Resolves when it has ended. */
function connect(
  { key, userAgent, fetch, clock, isWanted = () => true, pingMs = defaultPingMs }: TunnelOptions,
  address: URL,
  stop: AbortSignal,
  opened: () => void,
): Promise<End> {
  return new Promise((resolve) => {
    const over = new AbortController();
    let openedAt: number | undefined;
    let heard = false;
    const agent = userAgent === undefined ? {} : { "user-agent": userAgent };
    // Node's WebSocket accepts headers. The types are those of browsers, where it does not.
    const headers = { authorization: `Bearer ${key}`, ...agent };
    const socket: WebSocket = Reflect.construct(WebSocket, [address, { headers }]);
    socket.binaryType = "arraybuffer";
    const responder = new Responder({
      fetch,
      send: (frame) => {
        if (socket.readyState === WebSocket.OPEN) socket.send(frame);
      },
      tick,
    });

    // Does not wait for the `close` event: it never comes if the peer is gone or the connection is half open.
    const finish = (reason: string, next: End["next"] = "redial") => {
      if (over.signal.aborted) return;
      over.abort();
      stop.removeEventListener("abort", stopped);
      responder.close(reason);
      socket.close();
      resolve({ reason, next, upMs: openedAt === undefined ? undefined : clock.now() - openedAt });
    };
    const stopped = () => finish("the agent ends");
    stop.addEventListener("abort", stopped);

    const watch = async () => {
      for (;;) {
        heard = false;
        if (socket.readyState === WebSocket.OPEN) socket.send("ping");
        await clock.sleep(pingMs, over.signal);
        if (over.signal.aborted) return;
        if (!isWanted()) return finish(unwanted);
        if (!heard) return finish(openedAt === undefined ? "nobody answers" : "the cloud is silent");
      }
    };

    socket.addEventListener("open", () => {
      if (over.signal.aborted) return socket.close();
      openedAt = clock.now();
      heard = true;
      opened();
      socket.send("ping");
    });
    socket.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
      if (over.signal.aborted) return;
      heard = true;
      try {
        if (data instanceof ArrayBuffer) responder.receive(data);
        else if (data === "bye:4001") finish("another device has connected with the same uuid", "stand back");
        else if (typeof data === "string" && data.startsWith("bye:"))
          finish(`the cloud has closed it (${data.slice(4)})`);
        else if (data !== "pong") throw new ProtocolError("Unknown text");
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        finish(`the cloud does not keep to the protocol: ${error.message}`);
      }
    });
    socket.addEventListener("error", () =>
      openedAt === undefined
        ? void whyNot(address, agent).then(({ reason, next }) => finish(reason, next))
        : finish("it broke"),
    );
    socket.addEventListener("close", ({ code }: CloseEvent) => {
      // If the socket was never open, `whyNot` finds the reason after the `error` event.
      if (openedAt !== undefined) finish(`it was closed (${code})`);
    });
    void watch();
  });
}

/** Finds out why a WebSocket could not be opened, with an ordinary request to the same address. */
async function whyNot(address: URL, headers: Record<string, string>): Promise<Pick<End, "reason" | "next">> {
  const url = new URL(address);
  url.protocol = url.protocol.replace(/^ws/, "http");
  try {
    const { status, body } = await fetch(url, { headers, redirect: "manual", signal: AbortSignal.timeout(10_000) });
    void body?.cancel();
    // Our Worker answers 426 to a request that is not a WebSocket upgrade.
    if (status === 426) return { reason: "it does not know this device's key", next: "redial" };
    if (status >= 500) return { reason: `it answers ${status}`, next: "redial" };
    return { reason: `it has no tunnels for devices (${status})`, next: "other cloud" };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return {
      reason: redact(`it cannot be reached: ${messageOf(cause)}`),
      next: "redial",
    };
  }
}
