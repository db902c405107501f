import { fingerprintOf, rejectionOf } from "../model/fingerprint.ts";
import { findImage } from "../model/image.ts";
import { isHandingOver, serviceKey } from "../model/names.ts";
import { redact } from "../model/secrets.ts";
import type { App } from "../model/target.ts";
import { defaultRules, type GateKind, type GateState, type UpdateFailure, type UpdateRecord } from "../model/update.ts";
import type { CurrentState } from "./current.ts";
import type { UpdateFacts } from "../model/update-facts.ts";
import { deadlineOf, isGated, judgeGates, recheckMs } from "./judge-gates.ts";
import { holdUps, isClockSet, recheckMs as policyRecheckMs } from "./update-policy.ts";
import { planApplication } from "./plan-application.ts";
import type { Preflight } from "./plan-preflight.ts";
import { dueSnapshots, planDrops, planRestoration, planSnapshots, volumesOf } from "./plan-snapshots.ts";
import { isNote, type Step } from "./step.ts";

type Tried = Extract<UpdateRecord, { readonly phase: "trying" | "paused" }>;
type Trying = Extract<UpdateRecord, { readonly phase: "trying" }>;

interface Input {
  readonly appId: number;
  readonly app: App;
  readonly facts: UpdateFacts;
  readonly current: CurrentState;
  readonly wantedImages: ReadonlySet<string>;
  readonly preflight: Preflight | undefined;
}

/** The same, where a release can be returned to. */
interface Returnable extends Input {
  readonly committed: App;
}

/** How often an update is begun before it counts as failed. A release can make the machine restart. */
const mostAttempts = 3;

/**
 * The next steps for one application, of which one release is tried and another is committed. This decides which of them
 * `planApplication` gets, and when that is written down.
 */
export function planUpdate(
  appId: number,
  app: App | undefined,
  current: CurrentState,
  wantedImages: ReadonlySet<string>,
  preflight: Preflight | undefined,
): Step[] {
  const facts = current.updates.get(appId);
  const planFor = (release: App | undefined) => planApplication(appId, release, current, wantedImages, preflight);
  if (!facts) return planFor(app);
  if (!app) return planDeparture(appId, facts, current, planFor(undefined));
  const { committed, record } = facts;
  const input = { appId, app, facts, current, wantedImages, preflight };
  const drops = app.temporary === "purged" ? planDrops(appId, record, "the application is purged") : [];
  if (drops.length > 0) return drops;
  // A first installation has nothing to go back to.
  if (!committed || committed.app.services.length === 0) return planSteady(input);
  const returnable = { ...input, committed: committed.app };
  if (record?.phase === "back") return planReturn(returnable, record);
  if (record?.phase === "trying" || record?.phase === "paused")
    return planTrial(returnable, record, committed.fingerprint);
  if (committed.fingerprint === fingerprintOf(app)) return planSteady(input);
  return isRejected(app, record) ? planCommitted(returnable) : planPreparation(returnable);
}

/** The application has left the target. What an update that was not completed has written is undone. */
function planDeparture(
  appId: number,
  { committed, record }: UpdateFacts,
  current: CurrentState,
  steps: readonly Step[],
): Step[] {
  if (committed && record) {
    const copies = planRestoration({ appId, app: committed.app, committed: committed.app, current }, record, steps);
    if (copies?.length === 0) return planDrops(appId, record, "no image is left with which it can be restored");
    if (copies) return copies;
  }
  return isSettled(steps) && (committed || record) ? [{ action: "forgetUpdate", appId }] : [...steps];
}

/** Whether the target is not applied: it cannot run here, or it has failed. */
const isRejected = (app: App, record: UpdateRecord | undefined): boolean =>
  app.rejected !== undefined || rejectionOf(app, record) !== undefined;

const planTarget = ({ appId, app, current, wantedImages, preflight }: Input): Step[] =>
  planApplication(appId, app, current, wantedImages, preflight);

/** A restart or a purge in between is one of the committed release. */
const planCommitted = ({ appId, app: { temporary }, committed, current, wantedImages }: Returnable): Step[] =>
  planApplication(appId, { ...committed, ...(temporary && { temporary }) }, current, wantedImages);

function planSteady(input: Input): Step[] {
  const { app, facts } = input;
  const steps = planTarget(input);
  const isNew = facts.committed?.fingerprint !== fingerprintOf(app) || facts.record !== undefined;
  return isSettled(steps) && isNew && !app.rejected && !app.temporary ? [...steps, toCommit(input)] : steps;
}

/** The committed release goes on until all images of the target are here and nothing holds the update up. */
function planPreparation(input: Returnable): Step[] {
  const { app, wantedImages } = input;
  if (app.temporary) return planCommitted(input);
  const steps = planTarget(input);
  // What has made room for the target is not downloaded again.
  const isWanted = (step: Step) => step.action !== "fetch" || wantedImages.has(step.image.name);
  const committed = () => [...planCommitted(input).filter(isWanted), ...steps.filter(isOfImages)];
  if (steps.some(isImpossible)) return committed();
  // A network that nobody uses is not replaced before all images are here.
  const begins = steps.some((step) => isReplacement(step) && (isComplete(input) || !isRemoval(step)));
  if (begins) return planWaiting(input) ?? planBegin(input, steps, 1);
  if (!isComplete(input)) return committed();
  // Nothing is replaced: the release has only other names, or other networks that nobody uses yet. A step that was in vain
  // and is tried again later is none that has been done.
  if (steps.every(isNote)) return [...steps, toCommit(input)];
  // What is added waits, too: it may be what the replacements of the next plan need, and until then has no place.
  return planWaiting(input) ?? steps;
}

/** The wait for what the policy asks for; undefined: the update may begin. */
function planWaiting(input: Returnable): Step[] | undefined {
  const { appId, app, facts, current } = input;
  const { now, bootId, timeZone, unlockedMs } = current;
  if (current.forced.has(appId)) return undefined;
  const { fingerprint, commit } = subjectOf(app);
  const record =
    facts.record?.phase === "waiting" && facts.record.fingerprint === fingerprint ? facts.record : undefined;
  const policy = app.update ?? defaultRules;
  const policyFacts = {
    ...{ nowMs: now, zone: timeZone, unlockedMs: unlockedMs.get(appId) ?? 0 },
    hasBooted: record !== undefined && record.bootId !== bootId,
    hasConsent: record?.consent !== undefined,
    waitedMs: record?.since === undefined ? 0 : Math.max(0, now - record.since),
  };
  const held = holdUps(policy, policyFacts);
  if (held.length === 0) return undefined;
  if (!record) {
    const since = isClockSet(now) ? now : undefined;
    return [{ action: "recordUpdate", appId, record: { phase: "waiting", fingerprint, commit, bootId, since } }];
  }
  // Lock files have no events.
  const isIdle = held.some(({ is }) => is === "idle");
  const ms = Math.min(policyRecheckMs(policy, policyFacts) ?? Infinity, isIdle ? idlePollMs : Infinity);
  const waits = held.map(({ message }): Step => ({
    ...{ action: "wait", reason: message },
    ...(ms < Infinity && { recheckMs: Math.max(1, Math.ceil(ms)) }),
  }));
  return [...planCommitted(input), ...waits];
}

const idlePollMs = 10_000;

/** The locks first, then the record, and only then what stops services. */
function planBegin({ appId, app, current }: Input, steps: readonly Step[], attempts: number): Step[] {
  const locks = steps.filter(({ action }) => action === "takeLocks");
  if (locks.length > 0) return [...steps.filter(isOfImages), ...locks];
  const snapshots = dueSnapshots({ appId, app, current }, steps);
  const record = { phase: "trying", ...subjectOf(app), attempts, confirmed: [], snapshots } as const;
  return [{ action: "recordUpdate", appId, record }];
}

function planTrial(input: Returnable, record: Tried, committedFingerprint: string): Step[] {
  const { app } = input;
  const fingerprint = fingerprintOf(app);
  if (fingerprint === committedFingerprint)
    return [turnBack(input, record, { message: "The update was withdrawn" }, { rejects: false })];
  if (fingerprint !== record.fingerprint || app.rejected) return planReplacement(input, record);
  if (record.phase === "trying") return planProof(input, record);
  const steps = planTarget(input);
  if (record.accepted && isSettled(steps)) return [...steps, { ...toCommit(input), failure: record.failure }];
  const wait: Step = {
    action: "wait",
    reason: "somebody to confirm the failed update, or to roll it back",
    gate: true,
  };
  return record.accepted ? steps : [...steps, wait];
}

/** The target was replaced by another one, while this one had not proved itself. */
function planReplacement(input: Returnable, record: Tried): Step[] {
  const { app, facts, current } = input;
  const giveUp = () =>
    turnBack(input, record, { message: "Another target has replaced the update" }, { rejects: false });
  // The data is that of the update. Its copy must not become that of another one.
  if (app.rejected || Object.keys(record.snapshots ?? {}).length > 0) return [giveUp()];
  const steps = planTarget(input);
  if (isComplete(input) || steps.some(isReplacement)) return planBegin(input, steps, 1);
  const leftMs =
    record.phase === "paused"
      ? undefined
      : deadlineOf(app, presentOf(input.appId, current)) - (facts.triedMs ?? Infinity);
  if (leftMs !== undefined && leftMs <= 0) return [giveUp()];
  const wait: Step = { action: "wait", reason: "the images of the new target", isSaid: true, recheckMs: leftMs ?? 0 };
  return [...steps.filter(isOfImages), wait];
}

/** The target is being installed, or is and must prove itself. */
function planProof(input: Returnable, record: Trying): Step[] {
  const { appId, app, facts, current } = input;
  if (facts.triedMs === undefined) {
    if (record.attempts < mostAttempts)
      return [{ action: "recordUpdate", appId, record: { ...record, attempts: record.attempts + 1 } }];
    const message = `The agent or the machine restarted ${mostAttempts} times during the update`;
    return fail(input, record, { message });
  }
  const present = presentOf(appId, current);
  const gates = gatesOf(app, record, current);
  const closed = gates.filter((gate) => gate.is !== "open");
  const unproven = new Set(closed.map(({ service }) => serviceKey(appId, service)));
  const createsFirst = isGated(app, present) ? { createsFirst: { without: volumesOf(record, "due") } } : {};
  const steps = planTarget({ ...input, current: { ...current, unproven, ...createsFirst } });
  const deadlineMs = deadlineOf(app, present);
  const leftMs = deadlineMs - facts.triedMs;
  const copies = planSnapshots(input, record, steps);
  if (copies) {
    const refused = leftMs > 0 ? undefined : current.failures.get(appId);
    return refused === undefined ? copies : fail(input, record, { message: refused });
  }
  const isLate = (facts.begunMs ?? facts.triedMs) >= deadlineMs;
  const failure = facts.told ?? failureOf(input, steps, gates, { leftMs, isLate });
  if (failure) return fail(input, record, failure);
  // What takes effect only after a reboot cannot prove itself before.
  const isDone = (isSettled(steps) && closed.length === 0) || (leftMs <= 0 && isAllThatIsAsked(input, steps));
  if (isDone && !app.temporary && !current.rebootRequired) return [...steps, toCommit(input)];
  // The file with which a service confirms has no event.
  const pollMs = closed.some(({ gate }) => gate === "confirm") ? confirmPollMs : Infinity;
  const soonest = Math.ceil(Math.min(recheckMs(gates) ?? Infinity, leftMs > 0 ? leftMs : Infinity, pollMs));
  return [...steps, ...closed.map((gate) => toWait(gate, soonest))];
}

/** Without gates, a release need not be complete: a service may wait for another one as long as it takes. */
const isAllThatIsAsked = (input: Input, steps: readonly Step[]): boolean =>
  !isGated(input.app, presentOf(input.appId, input.current)) &&
  isComplete(input) &&
  steps.every((step) => isNote(step) || step.action === "wait");

const confirmPollMs = 1000;

/** The gates of an update that is tried. A service confirms it through the API, or with a file. */
export const gatesOf = (app: App, { confirmed }: Trying, current: CurrentState): readonly GateState[] =>
  judgeGates(app, presentOf(app.appId, current), current.watch, {
    confirmed: app.services
      .map(({ name }) => name)
      .filter((name) => confirmed.includes(name) || current.confirmed.has(serviceKey(app.appId, name))),
    cloudReached: current.updates.get(app.appId)?.cloudReached,
    stoppedNow: current.stoppedNow,
  });

/** The end of the trial, if it has failed. */
function failureOf(
  input: Input,
  steps: readonly Step[],
  gates: readonly GateState[],
  { leftMs, isLate }: { readonly leftMs: number; readonly isLate: boolean },
): UpdateFailure | undefined {
  const { appId, app, current } = input;
  const failed = gates.find((gate) => gate.is === "failed");
  if (failed) return toFailure(failed, input);
  const downloads = app.services.flatMap(({ image }) => current.downloads.get(image.name) ?? []);
  const download = downloads.find((one) => one.is === "failed");
  if (download?.is === "failed" && isLate) return { message: `An image cannot be downloaded: ${download.reason}` };
  // However long a download takes during the trial, it says nothing about the release.
  if (leftMs > 0 || downloads.length > 0) return undefined;
  const refused = current.failures.get(appId);
  if (refused !== undefined) return { message: refused };
  if (!isGated(app, presentOf(appId, current))) return undefined;
  const closed = gates.find((gate) => gate.is === "closed");
  if (closed) return toFailure(closed, input);
  return isSettled(steps) ? undefined : { message: "It is not complete in time" };
}

function fail(input: Returnable, record: Tried, failure: UpdateFailure): Step[] {
  const { appId, app } = input;
  switch ((app.update ?? defaultRules).failureAction) {
    case "rollback":
      return [turnBack(input, record, failure, { rejects: true })];
    case "pause":
      return [{ action: "recordUpdate", appId, record: { phase: "paused", ...subjectOf(app), failure } }];
    case "continue":
      return [{ ...toCommit(input), failure }];
  }
}

const turnBack = (
  { appId }: Input,
  { fingerprint, commit }: Tried,
  failure: UpdateFailure,
  { rejects }: { readonly rejects: boolean },
): Step => ({ action: "recordUpdate", appId, record: { phase: "back", fingerprint, commit, failure, rejects } });

/** Never turns forward again, whatever the target becomes meanwhile. */
function planReturn(input: Returnable, record: Extract<UpdateRecord, { readonly phase: "back" }>): Step[] {
  const { appId, app, current } = input;
  const createsFirst = { without: volumesOf(record, "made") };
  const steps = planCommitted({ ...input, current: { ...current, isReturning: true, createsFirst } });
  const copies = planRestoration(input, record, steps);
  if (copies) return copies;
  if (!isSettled(steps) || app.temporary) return steps;
  const { fingerprint, commit, failure, rejects } = record;
  const rejected = { phase: "rejected", fingerprint, commit, failure, at: current.now } as const;
  return [...steps, { action: "recordUpdate", appId, record: rejects ? rejected : undefined }];
}

const subjectOf = (app: App) => ({ fingerprint: fingerprintOf(app), commit: app.commit });

const toCommit = ({ appId, app }: Input) => ({ action: "commitUpdate", appId, ...subjectOf(app) }) as const;

/** A container that was replaced in vain runs. An engine that makes something else of each container fails no update. */
const isSettled = (steps: readonly Step[]): boolean =>
  steps.every((step) => isNote(step) || (step.action === "wait" && step.again !== undefined));

const isComplete = ({ app, current }: Input): boolean =>
  app.services.every(({ image }) => findImage(current.images, image.name));

const isOfImages = (step: Step): boolean =>
  step.action === "fetch" || step.action === "removeImage" || (step.action === "wait" && step.isSaid === true);

/** A wait since the target cannot run here. A disk that is short may be made free by a replacement. */
const isImpossible = (step: Step): boolean =>
  step.action === "wait" && step.obstacle !== undefined && step.obstacle.kind !== "diskFull";

/** Steps after which the committed release is not whole any more. */
function isReplacement(step: Step): boolean {
  switch (step.action) {
    case "kill":
    case "moveAside":
    case "install":
    case "removeNetwork":
    case "removeVolume":
      return true;
    case "takeLocks":
      return step.stops.some(isReplacement);
    default:
      return false;
  }
}

const isRemoval = ({ action }: Step): boolean => action === "removeNetwork" || action === "removeVolume";

const presentOf = (appId: number, { containers }: CurrentState) =>
  containers.filter((container) => container.appId === appId && !isHandingOver(container));

type Closed = Extract<GateState, { readonly detail: string }>;

const toWait = ({ service, gate, detail }: Closed, ms: number): Step => ({
  action: "wait",
  reason: `the update of ${service} to prove itself (${gate}: ${detail})`,
  gate: true,
  isSaid: true,
  ...(Number.isFinite(ms) && { recheckMs: ms }),
});

function toFailure({ service, gate, detail }: Closed, { appId, current }: Input): UpdateFailure {
  // A program may print the values of its variables when it ends.
  const lines = presentOf(appId, current)
    .filter((one) => one.service === service)
    .flatMap(({ id, spec }) => {
      const text = current.lastLines.get(id);
      return text === undefined ? [] : [redact(text, spec)];
    });
  return {
    service,
    gate,
    message: `${service}: ${words[gate]} (${detail})`,
    ...(lines.length > 0 && { lines }),
  };
}

const words: Readonly<Record<GateKind, string>> = {
  started: "it did not start",
  healthy: "it did not get healthy",
  http: "its HTTP check did not succeed",
  "stay-up": "it did not stay up",
  "one-shot": "it did not complete successfully",
  confirm: "it did not confirm the update",
  cloud: "the cloud was not reached again",
};
