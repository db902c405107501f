import type { CloudChange } from "../api/admin/changes.ts";
import { linesAcross, type Disconnected } from "./streams.ts";
import type { TransportOptions } from "./transport.ts";
import { administration } from "./wires.ts";

export interface FollowChangesOptions {
  /** Only changes of this fleet. */
  readonly fleetId?: number;
  /** Changes after the one with this id; absent: those that come. */
  readonly after?: number;
  readonly signal?: AbortSignal;
  /** Called after a disconnection. When it resolves, such as when the network is back, the pause ends. */
  readonly wake?: () => Promise<unknown>;
}

export type FollowedChange = ({ readonly is: "change" } & CloudChange) | Disconnected;

/** The cloud sends an empty line each minute. */
const silenceMs = 135_000;

/**
 * What happens in a cloud, as it happens: the changes of `GET /admin/v1/changes`. Connects again after a disconnection, until
 * the loop over it ends or `signal` aborts. No change comes twice. Where changes are no longer kept, one of the kind
 * `changes.lost` says so; without `after`, only those are missing that happen before the first one has come.
 * Throws `Refusal` if the cloud refuses.
 */
export async function* followChanges(
  transport: TransportOptions,
  { signal, fleetId, after, wake }: FollowChangesOptions = {},
): AsyncGenerator<FollowedChange> {
  let last = after;
  const lines = linesAcross(transport, {
    ...{ operation: "changes", wire: administration.changes, silenceMs, signal, wake },
    params: () => ({ fleetId, after: last }),
  });
  for await (const one of lines) {
    if ("is" in one) yield one;
    else if (isChange(one.line)) {
      last = one.line.id;
      yield { is: "change", ...one.line };
    }
  }
}

/** One of a newer cloud may be of a kind that this client does not know. It is passed on all the same. */
const isChange = (value: unknown): value is CloudChange =>
  typeof value === "object" && value !== null && "id" in value && typeof value.id === "number";
