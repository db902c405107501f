/** What a service must show before an update counts as successful. Absent fields ask for nothing. */
export interface Gates {
  /** The service must stay up, and healthy, for this long. Absent: 10 s for a service with a gate, else 0. */
  readonly monitorMs?: number;
  /** `http://<address of the container>:<port><path>` must answer with 200–399. */
  readonly http?: { readonly port: number; readonly path: string };
  /** The service must confirm the update itself. */
  readonly confirm?: true;
  /** The cloud must be reached again, if it was reached before. */
  readonly cloud?: true;
}

/** How an application's updates are applied and judged. */
export interface UpdateRules {
  readonly failureAction: "rollback" | "pause" | "continue";
  /** The time from the first stop until every gate must be open. Lengthened for slow healthchecks. */
  readonly deadlineMs: number;
  /** All must be met before the update begins. Empty: it begins at once. */
  readonly apply: readonly ApplyCondition[];
  /** After this time `apply` no longer holds the update up. Absent: never. */
  readonly applyByMs?: number;
  readonly onDiskShort: "wait" | "delete-then-download";
}

/** The rules of an application without a word about updates. */
export const defaultRules: UpdateRules = {
  failureAction: "rollback",
  deadlineMs: 5 * 60_000,
  apply: [],
  onDiskShort: "wait",
};

export type ApplyCondition =
  /** The machine has booted since the images were complete. */
  | { readonly is: "reboot" }
  /** A person has consented through the API. */
  | { readonly is: "consent" }
  /** Nobody has held an update lock or a lease for this long. */
  | { readonly is: "idle"; readonly forMs: number }
  | { readonly is: "window"; readonly windows: readonly Window[] };

/** A time of the week at which updates may begin. */
export interface Window {
  /** 0 is Sunday. Empty: every day. The window belongs to the day on which it opens. */
  readonly days: readonly number[];
  /** Minutes since midnight, 0–1439. If `to` is not after `from`, the window closes on the next day. */
  readonly from: number;
  readonly to: number;
  /** An IANA time zone; absent: that of the device. */
  readonly zone?: string;
}

/** Why an update failed. It is shown to people and reported, so it has no value of an environment. */
export interface UpdateFailure {
  /** Absent: it is not one service's. */
  readonly service?: string | undefined;
  readonly gate?: GateKind | undefined;
  /** A sentence. */
  readonly message: string;
  /** The last lines of the service's log. */
  readonly lines?: readonly string[] | undefined;
}

export const gateKinds = ["started", "healthy", "http", "stay-up", "one-shot", "confirm", "cloud"] as const;
export type GateKind = (typeof gateKinds)[number];

/** One gate of a service during an update. */
export type GateState = GateVerdict & { readonly service: string; readonly gate: GateKind };

export type GateVerdict =
  | { readonly is: "open" }
  /** `detail`: why it is not open, as a part of a sentence: "unhealthy for 12 s". */
  | { readonly is: "failed"; readonly detail: string }
  /** `opensInMs`: it opens after this time if nothing changes. No event of the engine announces this. */
  | { readonly is: "closed"; readonly detail: string; readonly opensInMs?: number };

/** What was watched of a container since its application's watch began. Durations are those of a clock that never jumps. */
export interface WatchedContainer {
  /** How long this run has been up. 0: it is not up, or it was first seen a moment ago. */
  readonly upForMs: number;
  /** How long it has been healthy without a break. Absent: it is not healthy. */
  readonly healthyForMs?: number;
  readonly unhealthyForMs?: number;
  /** How often it has ended by itself and the engine has restarted it. */
  readonly exits: number;
  /** The time from the first of these exits to the last one. Absent: there is only one, or none. */
  readonly exitsOverMs?: number;
  /** The last exit code. Absent: none was seen. */
  readonly code?: number;
  /** How long it has answered its http gate well without a break. Absent: it does not, or is not asked. */
  readonly httpOkForMs?: number;
  /** The last answer, as a part of a sentence: "answers 503". */
  readonly httpDetail?: string;
}

/** By container id. */
export type WatchFacts = ReadonlyMap<string, WatchedContainer>;

/** What the http gate of a container has seen last. */
export interface HttpAnswer {
  readonly ok: boolean;
  /** As a part of a sentence: "answers 503". */
  readonly detail: string;
  /** Since when `ok` has been as it is, on the clock that never jumps. */
  readonly sinceMs: number;
}

/** Where an update of an application stands. Stored, since it cannot be observed. */
export type UpdateRecord =
  /** Complete, and waits for its policy. */
  | (Of & {
      readonly phase: "waiting";
      /** Identifies the run of the machine in which the images were complete. */
      readonly bootId: string;
      /** Who consented. */
      readonly consent?: string | undefined;
      /** Milliseconds since the epoch; absent: the clock of the machine was not set. */
      readonly since?: number | undefined;
    })
  /** The services are being replaced, or have been and must prove themselves. */
  | (Of & {
      readonly phase: "trying";
      /** How often the agent has begun or resumed it. */
      readonly attempts: number;
      /** The services that have confirmed it. */
      readonly confirmed: readonly string[];
    })
  /** It failed, and a person decides. */
  | (Of & {
      readonly phase: "paused";
      readonly failure: UpdateFailure;
      /** The person has decided that it stays. */
      readonly accepted?: true | undefined;
    })
  /** The committed release is being restored. */
  | (Of & {
      readonly phase: "back";
      readonly failure: UpdateFailure;
      /** Whether the target is rejected afterwards. Not if it was withdrawn or replaced. */
      readonly rejects: boolean;
    })
  /** It is not tried again until the target changes or a person asks. */
  | (Of & { readonly phase: "rejected"; readonly failure: UpdateFailure; readonly at: number });

interface Of {
  readonly fingerprint: string;
  /** The release that is tried. */
  readonly commit: string;
  readonly snapshots?: Snapshots | undefined;
}

/** The volumes that are copied before the release starts, by their names on the engine. */
export type Snapshots = Readonly<Record<string, "due" | "made">>;

/** The failure with the last lines of the log. */
export const describeFailure = ({ message, lines = [] }: UpdateFailure): string =>
  lines.length === 0 ? message : `${message}. Last it wrote: ${lines.join(" | ")}`;
