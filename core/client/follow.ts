import type { StreamLine } from "../api/device/stream.ts";
import type { RetryPolicy } from "../model/retry.ts";
import { linesOf } from "./lines.ts";
import { LogPositions, type LostLogs } from "./log-positions.ts";
import { Refusal } from "./operations.ts";
import { pause, sendTo, transientStatuses, type TransportOptions } from "./transport.ts";
import { device } from "./wires.ts";

/** What to follow. Without `state`, `events`, `metrics` and `logs`: the first three. */
export interface FollowOptions {
  readonly state?: boolean;
  readonly events?: boolean;
  readonly metrics?: boolean;
  /** Log lines: so many of the last ones of each service, and those that come. */
  readonly logs?: number | "all";
  /** Only of this application. */
  readonly app?: number;
  /** Events after this id; absent: those that come. */
  readonly after?: number | "latest";
  /** Only events of these kinds. */
  readonly kinds?: readonly string[];
  readonly signal?: AbortSignal;
  /** Called after a disconnection. When it resolves, such as when the network is back, the pause ends. */
  readonly wake?: () => Promise<unknown>;
}

/** The connection has ended, and is made again. What follows goes on where it has ended. */
interface Disconnected {
  readonly is: "disconnected";
  readonly why: string;
}
export type Followed = StreamLine | Disconnected | LostLogs;

const policy: RetryPolicy = { firstMs: 500, maxMs: 15_000, jitter: [1, 1.5] };
/** The device sends an empty line each 15 s. */
const silenceMs = 35_000;
/** So many of the last lines of each service are asked for again, to go on after a disconnection. */
const overlap = 1000;

/**
 * What happens on a device, as it happens. Connects again after a disconnection, until the loop over it ends or `signal`
 * aborts. No event comes twice, and none is left out without a line `lost`; the same holds for log lines.
 * Throws `Refusal` if the device refuses.
 */
export async function* follow(
  transport: TransportOptions,
  { signal, kinds, wake, ...wanted }: FollowOptions = {},
): AsyncGenerator<Followed> {
  const positions = new LogPositions();
  let after = wanted.after;
  for (let failures = 0, isFirst = true; !signal?.aborted; isFirst = false) {
    const logs = isFirst || wanted.logs === undefined ? wanted.logs : overlap;
    const params = { ...wanted, after, logs, ...(kinds && { kinds: kinds.join(",") }) };
    let why = "The device has ended the stream";
    try {
      const answer = await sendTo({ ...transport, retries: 0 }, device.stream, { params, signal });
      if (transientStatuses.has(answer.status)) throw new Error(`It answered ${answer.status}`);
      if (!(answer.body instanceof ReadableStream) || answer.status !== 200) throw new Refusal("stream", answer);
      positions.restart();
      for await (const value of linesOf(answer.body, { clock: transport.clock, silenceMs, signal })) {
        if (!isLine(value)) continue;
        failures = 0;
        if (value.is === "hello" && typeof after !== "number") after = value.after;
        if (value.is === "event") after = value.id;
        if (value.is === "log") yield* positions.take(value);
        else yield value;
      }
    } catch (error) {
      if (error instanceof Refusal || signal?.aborted) throw error;
      why = error instanceof Error ? error.message : String(error);
    }
    failures++;
    yield { is: "disconnected", why };
    await Promise.race([pause(transport, failures, policy, signal), ...(wake ? [wake()] : [])]);
  }
}

/** A line of a newer device may be of a kind that this client does not know. It is passed on all the same. */
const isLine = (value: unknown): value is StreamLine =>
  typeof value === "object" && value !== null && "is" in value && typeof value.is === "string";
