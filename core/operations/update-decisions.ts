import type { EventSink } from "../events/events.ts";
import type { UpdateDecision } from "../model/event.ts";
import { findApp } from "../model/target.ts";
import type { UpdateRecord } from "../model/update.ts";
import type { Loop } from "../reconcile/loop.ts";
import type { Targets } from "../state/targets.ts";
import type { Updates } from "../state/updates.ts";

export interface DecisionContext {
  readonly updates: Pick<Updates, "isOn" | "recordOf" | "committedOf" | "setRecord" | "tell">;
  readonly targets: Pick<Targets, "current">;
  readonly loop: Pick<Loop, "exclusively">;
  readonly events: EventSink;
}

export type Decided = { readonly is: "decided" } | { readonly is: "refused"; readonly reason: string };

/** An application, and who decides about its update. */
interface Subject {
  readonly appId: number;
  /** The principal, for the log. */
  readonly by: string;
}

const decided: Decided = { is: "decided" };
const refuse = (reason: string): Decided => ({ is: "refused", reason });

/** `service`: the service that confirms for itself; absent: a person confirms for all of them. */
export const confirmUpdate = (
  context: DecisionContext,
  subject: Subject,
  { service, commit }: { readonly service?: string | undefined; readonly commit?: string | undefined },
): Promise<Decided> =>
  decide(context, subject, async (record, set) => {
    const { appId } = subject;
    const committed = context.updates.committedOf(appId)?.commit;
    // The answer to an earlier request may have been lost.
    if (commit !== undefined && commit === committed) return decided;
    if (record?.phase !== "trying" && record?.phase !== "paused") return refuse("No update is tried now");
    if (commit !== undefined && commit !== record.commit)
      return refuse(`The release that is tried is ${record.commit}`);
    const all = findApp(context.targets.current(), appId)?.services.map(({ name }) => name) ?? [];
    if (service !== undefined && !all.includes(service))
      return refuse(`The release has no service ${service}, only: ${all.join(", ") || "none"}`);
    if (record.phase === "paused") {
      if (service !== undefined) return refuse("The update has failed, and a person decides what becomes of it");
      await set({ ...record, accepted: true }, "confirm");
      return decided;
    }
    const missing = (service === undefined ? all : [service]).filter((name) => !record.confirmed.includes(name));
    if (missing.length > 0) await set({ ...record, confirmed: [...record.confirmed, ...missing] }, "confirm", service);
    return decided;
  });

export const failUpdate = (
  context: DecisionContext,
  subject: Subject,
  { service, reason }: { readonly service?: string | undefined; readonly reason: string },
): Promise<Decided> =>
  decide(context, subject, async (record) => {
    if (record?.phase !== "trying") return refuse("No update is tried now");
    const message = `${service ?? subject.by} says that it does not work: ${reason}`;
    context.updates.tell(subject.appId, { ...(service !== undefined && { service }), message });
    return decided;
  });

export const applyUpdate = (
  context: DecisionContext,
  subject: Subject,
  { commit }: { readonly commit?: string | undefined },
): Promise<Decided> =>
  decide(context, subject, async (record, set) => {
    if (record?.phase !== "waiting")
      return refuse("No update waits for consent: its images are not complete, or it has begun");
    if (commit !== undefined && commit !== record.commit) return refuse(`The release that waits is ${record.commit}`);
    if (record.consent === undefined) await set({ ...record, consent: subject.by }, "apply");
    return decided;
  });

export const retryUpdate = (context: DecisionContext, subject: Subject): Promise<Decided> =>
  decide(context, subject, async (record, set) => {
    if (record?.phase !== "rejected" && record?.phase !== "paused") return refuse("No update has failed");
    const { fingerprint, commit } = record;
    const again =
      record.phase === "paused"
        ? ({ phase: "trying", fingerprint, commit, attempts: 1, confirmed: [] } as const)
        : undefined;
    await set(again, "retry");
    return decided;
  });

export const rollBackUpdate = (
  context: DecisionContext,
  subject: Subject,
  { reason }: { readonly reason?: string | undefined },
): Promise<Decided> =>
  decide(context, subject, async (record, set) => {
    if (record?.phase !== "trying" && record?.phase !== "paused") return refuse("No update is tried now");
    const { fingerprint, commit } = record;
    const message = `It was rolled back by ${subject.by}${reason === undefined ? "" : `: ${reason}`}`;
    await set({ phase: "back", fingerprint, commit, failure: { message }, rejects: true }, "rollback");
    return decided;
  });

const notOn =
  "In local mode, updates are neither tried nor committed, unless the config of the target state has SUPERVISOR_SAFE_UPDATES=on";

type Set = (record: UpdateRecord | undefined, decision: UpdateDecision, service?: string) => Promise<void>;

/** The loop leaves the application alone meanwhile: what is decided is about the record that was read. */
function decide(
  { updates, loop, events }: DecisionContext,
  { appId, by }: Subject,
  act: (record: UpdateRecord | undefined, set: Set) => Promise<Decided>,
): Promise<Decided> {
  if (!updates.isOn()) return Promise.resolve(refuse(notOn));
  return loop.exclusively(appId, () =>
    act(updates.recordOf(appId), async (record, decision, service) => {
      await updates.setRecord(appId, record);
      events.emit({ kind: "updateDecided", appId, decision, by, ...(service !== undefined && { service }) });
    }),
  );
}
