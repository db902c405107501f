import type { Cause } from "../model/event.ts";
import { keptEvents, type JournalEntry } from "../ports/event-journal.ts";
import type { Events } from "./events.ts";

/** What happened to an application: a change to the container of a service, or what people did. */
interface HistoryEntry {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly what: What;
  readonly service?: string | undefined;
  readonly why: string;
  /** The names of the fields that differed. */
  readonly differences: readonly string[];
  readonly by?: Cause | "force" | undefined;
  /** The commit of the release. Of a replaced container: the new one's. */
  readonly release?: string | undefined;
}

/** The kinds of events that are entries as they are. */
const ofUpdates = [
  "updateBegun",
  "updateCommitted",
  "updateFailed",
  "updatePaused",
  "updateKept",
  "updateRejected",
  "updateDecided",
] as const;

type What =
  | "replaced"
  | "handedOver"
  | "created"
  | "removed"
  | "stopped"
  | "started"
  | "purged"
  | "lockOverridden"
  | (typeof ofUpdates)[number];

/** The history of an application as far as the journal goes, newest first. */
export async function readHistory(
  events: Pick<Events, "read">,
  appId: number,
  limit: number,
): Promise<readonly HistoryEntry[]> {
  const { entries } = await events.read(0, keptEvents);
  const own = entries.filter((event) => event.appId === appId);
  return own
    .flatMap((event, n): HistoryEntry[] => {
      const next = isEnd(event) ? neighbour(event, own.slice(n + 1)) : undefined;
      const successor = next?.kind === "serviceInstalling" ? next : undefined;
      const what = whatOf(event, successor, own.slice(0, n));
      if (!what) return [];
      const { at, service, text, reason, fields: differences = [], cause, commit } = event;
      const by = what === "lockOverridden" ? "force" : what === "updateDecided" ? "request" : cause;
      const why = reason ?? (what === "created" ? whyCreated(cause) : text);
      return [{ at, what, service, why, differences, by, release: successor?.commit ?? commit }];
    })
    .toReversed()
    .slice(0, limit);
}

const whyCreated = (cause: Cause | undefined): string =>
  cause === "missing" ? "its container was missing" : "it had no container before";

function whatOf(
  event: JournalEntry,
  successor: JournalEntry | undefined,
  earlier: readonly JournalEntry[],
): What | undefined {
  switch (event.kind) {
    case "serviceHandingOver":
      return "handedOver";
    case "serviceKilling":
      return successor ? "replaced" : "removed";
    case "serviceInstalling": {
      // A container with a predecessor is a part of its replacement.
      const before = neighbour(event, earlier.toReversed());
      return before && isEnd(before) ? undefined : "created";
    }
    case "serviceStopping":
      return event.cause === "request" ? "stopped" : undefined;
    case "serviceStarting": {
      const isNew = earlier.findLast(({ service }) => service === event.service)?.kind === "serviceInstalled";
      return event.cause === "request" && !isNew ? "started" : undefined;
    }
    case "purging":
      return "purged";
    case "leaseBroken":
    case "lockBroken":
      return "lockOverridden";
    default:
      return ofUpdates.find((kind) => kind === event.kind);
  }
}

/** The first event in which a container of the same service begins or ends. */
const neighbour = ({ service }: JournalEntry, events: readonly JournalEntry[]): JournalEntry | undefined =>
  events.find((one) => one.service === service && (isEnd(one) || one.kind === "serviceInstalling"));

const isEnd = ({ kind }: JournalEntry): boolean => kind === "serviceKilling" || kind === "serviceHandingOver";
