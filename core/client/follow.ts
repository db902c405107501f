import type { StreamLine } from "../api/device/stream.ts";
import { LogPositions, type LostLogs } from "./log-positions.ts";
import { linesAcross, type Disconnected } from "./streams.ts";
import type { TransportOptions } from "./transport.ts";
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

export type Followed = StreamLine | Disconnected | LostLogs;

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
  let logs = wanted.logs;
  const lines = linesAcross(transport, {
    ...{ operation: "stream", wire: device.stream, silenceMs, signal, wake },
    params: () => ({ ...wanted, after, logs, ...(kinds && { kinds: kinds.join(",") }) }),
  });
  for await (const one of lines) {
    if ("is" in one) {
      positions.restart();
      if (logs !== undefined) logs = overlap;
      yield one;
      continue;
    }
    const value = one.line;
    if (!isLine(value)) continue;
    if (value.is === "hello" && typeof after !== "number") after = value.after;
    if (value.is === "event") after = value.id;
    if (value.is === "log") yield* positions.take(value);
    else yield value;
  }
}

/** A line of a newer device may be of a kind that this client does not know. It is passed on all the same. */
const isLine = (value: unknown): value is StreamLine =>
  typeof value === "object" && value !== null && "is" in value && typeof value.is === "string";
