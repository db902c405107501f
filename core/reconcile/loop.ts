import type { DeviceFacts } from "../compose/container-spec.ts";
import type { EventSink } from "../events/events.ts";
import type { Logs } from "../events/logs.ts";
import { isOn } from "../model/config.ts";
import { delayMs } from "../model/retry.ts";
import { messageOf } from "../model/show.ts";
import type { Container } from "../model/container.ts";
import type { TargetState } from "../model/target.ts";
import type { Clock } from "../ports/clock.ts";
import type { Engine, EngineEvent } from "../ports/engine.ts";
import type { Applier, Outcome } from "./apply.ts";
import { engineRetry } from "./backoff.ts";
import { unseen, type CurrentState, type Observation, type Remembered } from "./current.ts";
import type { Downloads } from "./downloads.ts";
import { gate } from "./gate.ts";
import { Notices } from "./notices.ts";
import type { Observer } from "./observe.ts";
import { appIdOf, isSettled, plan, wantedImagesOf, type Plan, type Subject } from "./plan.ts";
import { isGuarded } from "./plan-preflight.ts";
import type { Preflights } from "./preflights.ts";
import type { Repeats } from "./repeats.ts";
import { Requests } from "./requests.ts";
import { Retries } from "./retries.ts";
import { withRejections } from "./status.ts";
import { Scheduler } from "./scheduler.ts";
import { describe, isWork, type Work } from "./step.ts";
import type { Failure, Reached, View } from "./view.ts";
import { Waiters } from "./waiters.ts";

/** The input of each round. */
interface RecreateOptions {
  readonly force: boolean;
  /** Called when it is its turn; if it throws, nothing is done. */
  readonly begin?: () => void;
}

/** The engine does not answer. */
interface EngineTrouble {
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly why: string;
}

interface RoundInput {
  readonly target: TargetState;
  readonly device: DeviceFacts;
  readonly localMode: boolean;
}

interface Parts {
  readonly clock: Clock;
  readonly engine: Pick<Engine, "onEvent">;
  readonly observer: Pick<Observer, "observe">;
  /** Updates the agent's memory from an observation, and returns it. */
  readonly record: (observation: Observation, target: TargetState) => Promise<Remembered>;
  /** Records which containers run, except for busy applications: their containers may be about to stop. */
  readonly recordRunning: (containers: readonly Container[], isBusy: (appId: number) => boolean) => void;
  readonly applier: Pick<Applier, "apply">;
  readonly downloads: Downloads;
  readonly preflights: Pick<Preflights, "isAsking" | "forgetUnknown" | "cancel">;
  readonly repeats: Repeats;
  readonly logs: Pick<Logs, "setSources">;
  readonly events: EventSink;
  readonly input: () => RoundInput;
  /** Called when the engine answers again. */
  readonly onEngineBack: () => void;
  /** Called after each round. Returns the time after which another round is needed at the latest. */
  readonly onRound?: (view: View) => number | undefined;
}

/**
 * Repeats rounds: observe, plan, check the gate, apply. A round does not depend on why it was requested. Applications do
 * not wait for each other. When everything is settled, no round runs until an event, a timer or a call requests one.
 */
export class Loop {
  view: View | undefined;
  /** The target state that the view is about, as it was accepted. */
  accepted: TargetState | undefined;
  readonly #parts: Parts;
  readonly #scheduler: Scheduler;
  readonly #requests = new Requests();
  readonly #retries = new Retries();
  readonly #waiters = new Waiters();
  readonly #notices: Notices;
  readonly #busy = new Map<Subject, Promise<void>>();
  /** Subjects with a step applied since the current observation began. It may be outdated for them. */
  readonly #stale = new Set<Subject>();
  readonly #recreations = new Map<number, Promise<unknown>>();
  #unsettled = true;
  /** How many callers have paused the loop. */
  #pauses = 0;
  readonly #end = new AbortController();
  #engineFailures = 0;
  #trouble: EngineTrouble | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#notices = new Notices(parts.events);
    this.#scheduler = new Scheduler({
      clock: parts.clock,
      run: (round, fresh) => this.#round(round, fresh),
      onError: (error) => this.#onRoundFailed(error),
    });
  }

  start(): void {
    // A removed container is created again from the image that its tag points to now, so no cached state is used.
    const isFresh = ({ what }: EngineEvent) => what === "gone" || what === "restored";
    this.#unsubscribe = this.#parts.engine.onEvent((event) => void this.#scheduler.requestSoon(isFresh(event)));
    this.trigger();
  }

  /** Ends the loop. The engine finishes requests that it has received; the next start of the agent continues from there. */
  stop(): void {
    this.#end.abort();
    this.#unsubscribe?.();
    this.#scheduler.stop();
    this.#parts.downloads.cancel();
    this.#parts.preflights.cancel();
    this.#waiters.failAll("The agent is stopping");
  }

  /** Requests a round without cached state. Until that round has run, the device does not count as settled. */
  trigger(): void {
    this.#unsettled = true;
    this.#scheduler.request(true);
  }

  /** Requests a round that may use cached state: the agent itself has made the change. */
  nudge(): void {
    this.#scheduler.request(false);
  }

  /** The view before the first round: an empty device. */
  blankView(): View {
    const { clock, input } = this.#parts;
    const { target, device, localMode } = input();
    return { current: unseen(clock.now(), device, localMode), target, plan: new Map(), temporary: new Set() };
  }

  /** Like `trigger`, and retries failed and locked steps at once. `force` overrides the update locks this time. */
  retry({ force, cancel = false }: { force: boolean; cancel?: boolean }): void {
    if (force)
      for (const { appId } of [...this.#parts.input().target.apps, ...(this.view?.current.containers ?? [])])
        this.#requests.force(appId, this.#scheduler.nextRound());
    if (cancel) this.#parts.downloads.cancel();
    this.#parts.downloads.forgetFailures();
    this.#parts.preflights.forgetUnknown();
    for (const subject of [...this.#retries.subjects(), ...this.#busy.keys()]) this.#resetRetries(subject);
    this.#parts.repeats.forget();
    this.trigger();
  }

  /** A lease of the application has ended: what waits for a lock is tried at once. */
  unlocked(appId: number): void {
    for (const subject of [appId, "device"] as const)
      if (this.#retries.failureOf(subject)?.is === "locked") this.#resetRetries(subject);
    this.nudge();
  }

  /** Whether a round has found no step and no wait since the last change. */
  isSettled(): boolean {
    return !this.#unsettled && this.#busy.size === 0;
  }

  /** Whether no step, round, download or request to a registry is in progress or due. Remaining steps wait for a lock, an event or a retry. */
  isAtRest(): boolean {
    const downloading = [...this.#parts.downloads.state().values()].some(({ is }) => is === "running");
    const due = [...(this.view?.plan ?? [])].some(
      ([subject, steps]) => !this.#retries.failureOf(subject) && steps.some(isWork),
    );
    const asking = this.#parts.preflights.isAsking();
    return this.#busy.size === 0 && this.#scheduler.isIdle() && !downloading && !asking && !due;
  }

  failureOf(subject: Subject): Failure | undefined {
    return this.#retries.failureOf(subject);
  }

  failuresOf(subject: Subject): readonly Failure[] {
    return this.#retries.failuresOf(subject);
  }

  /** How often subjects have failed and were tried again, and how many wait now. */
  backoffs(): { readonly begun: number; readonly retried: number; readonly waiting: number } {
    const { begun, retried } = this.#retries;
    return { begun, retried, waiting: this.#retries.subjects().length };
  }

  /** Whether a step or a download has failed, or a step was in vain. */
  hasFailures(): boolean {
    const { downloads, repeats } = this.#parts;
    return this.#retries.any() || repeats.any() || [...downloads.state().values()].some(({ is }) => is === "failed");
  }

  /** When the engine stopped answering, in milliseconds since the epoch; undefined when it answers. */
  troubleSince(): number | undefined {
    return this.#trouble?.since;
  }

  /** The same with the reason. */
  trouble(): EngineTrouble | undefined {
    return this.#trouble;
  }

  /** Resolves with the result of the next round to begin. `fresh`: the round uses no cached state. */
  async look({ fresh = true } = {}): Promise<View> {
    if ((await this.#scheduler.next(fresh)) && this.view) return this.view;
    throw new Error("The engine cannot be reached");
  }

  /** Runs `act` while the loop leaves the application alone, then requests a round. */
  async exclusively<T>(appId: number, act: () => Promise<T>): Promise<T> {
    while (this.#busy.has(appId)) await this.#busy.get(appId);
    this.#parts.repeats.forget(appId);
    const result = act();
    const ended = result.then(noop, noop);
    this.#occupy(appId, ended);
    try {
      return await result;
    } finally {
      this.#busy.delete(appId);
      this.#unsettled = true;
      this.nudge();
    }
  }

  /**
   * Waits for all steps except those of `by`, then runs `act` while the loop applies nothing. `by` is the subject whose
   * step called this. The signal fires when the loop ends.
   */
  async whilePaused<T>(act: (end: AbortSignal) => Promise<T>, by?: Subject): Promise<T> {
    this.#pauses++;
    try {
      await Promise.all([...this.#busy].flatMap(([subject, ended]) => (subject === by ? [] : [ended])));
      return await act(this.#end.signal);
    } finally {
      this.#pauses--;
      // An observation that began earlier may be outdated for every subject.
      for (const subject of this.view?.plan.keys() ?? []) {
        this.#stale.add(subject);
        if (subject !== "device") this.#parts.repeats.forget(subject);
      }
      this.trigger();
    }
  }

  /** Applies a temporary target and then the real one, for a restart or a purge. Calls for one application run in turn. */
  recreate(appId: number, temporary: "stopped" | "purged", options: RecreateOptions): Promise<Reached> {
    const previous = this.#recreations.get(appId)?.then(noop, noop) ?? Promise.resolve();
    const result = previous.then(() => this.#recreate(appId, temporary, options));
    this.#recreations.set(appId, result);
    return result;
  }

  async #recreate(appId: number, temporary: "stopped" | "purged", { force, begin }: RecreateOptions): Promise<Reached> {
    begin?.();
    this.#requests.setTemporary(appId, { is: temporary, force });
    const down = await this.reached(appId);
    this.#requests.endTemporary(appId, this.#scheduler.nextRound());
    if (down.is === "settled") return this.reached(appId, { force });
    // The temporary target was not reached, so it is dropped. This failure must not delay the update.
    this.#resetRetries(appId);
    this.trigger();
    return down;
  }

  /** Resolves when an application has no steps left but waits, or when one of its steps fails. */
  reached(appId: number, { force = false } = {}): Promise<Reached> {
    this.#resetRetries(appId);
    this.#parts.repeats.forget(appId);
    if (force) this.#requests.force(appId, this.#scheduler.nextRound());
    const reached = this.#waiters.add(appId, this.#scheduler.nextRound());
    this.trigger();
    return reached;
  }

  #resetRetries(subject: Subject): void {
    this.#retries.reset(subject, { isBusy: this.#busy.has(subject) });
  }

  async #round(round: number, fresh: boolean): Promise<void> {
    const { observer, record, recordRunning, downloads, repeats, logs, events, input } = this.#parts;
    const isStale = (subject: Subject) => this.#stale.has(subject);
    this.#stale.clear();
    for (const subject of this.#busy.keys()) this.#stale.add(subject);
    const { target: accepted, device, localMode } = input();
    downloads.keep(wantedImagesOf(accepted, this.view?.current.updates ?? new Map()));
    const target = this.#requests.applyTo(accepted);
    const observed = await observer.observe(target, { fresh, guarded: isGuarded({ localMode }, target) });
    const failures = new Map(
      [...this.#retries.lastFailures()].flatMap(([subject, failure]): [number, string][] =>
        typeof subject === "number" && failure.is === "failed" ? [[subject, failure.message]] : [],
      ),
    );
    const current = {
      ...observed,
      ...(await record(observed, target)),
      device,
      localMode,
      failures,
      forced: this.#requests.forcedUpdates(),
    };
    recordRunning(current.containers, isStale);

    const decided = plan(current, target);
    const temporary = new Set(target.apps.flatMap((app) => (app.temporary ? [app.appId] : [])));
    this.view = { current, target: withRejections(accepted, current), plan: decided, temporary };
    this.accepted = accepted;
    const started = current.containers.filter(({ startedAt }) => startedAt > 0);
    logs.setSources(
      started.filter(({ state }) => state === "running"),
      started.filter(({ state }) => state !== "running"),
    );
    this.#retries.retain(decided, isStale);
    this.#requests.forgetReached(decided, round, isStale);
    for (const step of repeats.note(decided, current, isStale))
      events.emit({ kind: "stepRepeated", reason: describe(step) });
    const outdated = input().target !== accepted;
    if (outdated) this.#scheduler.request(true);
    this.#applyPlan(decided, current, outdated);
    this.#waiters.answer(round, (appId) => this.#reachedOf(appId, decided));
    if (!this.#scheduler.isRequested())
      this.#unsettled = this.#busy.size > 0 || [...decided.values()].some((steps) => !isSettled(steps));
    this.#scheduleRecheck(decided, current.monotonicMs);
    this.#engineFailures = 0;
    if (this.#trouble) {
      events.emit({ kind: "engineReachable" });
      this.#parts.onEngineBack();
    }
    this.#trouble = undefined;
    const recheckMs = this.#parts.onRound?.(this.view);
    if (recheckMs !== undefined) this.#requestAfter(recheckMs);
  }

  #applyPlan(decided: Plan, current: CurrentState, outdated: boolean): void {
    for (const [subject, steps] of decided) {
      const [paused, stale] = [this.#pauses > 0, this.#stale.has(subject)];
      if (!outdated && !paused && !stale) this.#notices.report(subject, steps);
      const othersStale = subject === "device" && this.#stale.size > 0;
      const failure = this.#retries.waiting(subject, current.monotonicMs)?.message;
      const { go } = gate(steps, { outdated, paused, stale, othersStale, failure });
      if (go.length === 0) continue;
      const batch = this.#applyAll(subject, go, current).finally(() => {
        this.#busy.delete(subject);
        this.nudge();
      });
      this.#occupy(subject, batch);
    }
  }

  #occupy(subject: Subject, until: Promise<void>): void {
    this.#busy.set(subject, until);
    this.#stale.add(subject);
    this.#retries.begin(subject);
  }

  async #applyAll(subject: Subject, work: readonly Work[], current: CurrentState): Promise<void> {
    const { applier, clock, input, events, repeats } = this.#parts;
    const force = isOn(input().target.config, "SUPERVISOR_OVERRIDE_LOCK") || this.#requests.isForced(subject);
    const results = await Promise.all(
      work.map(async (step): Promise<Failure | undefined> => {
        try {
          const failure = toFailure(await applier.apply(step, current, force));
          if (!failure) repeats.done(subject, step);
          return failure;
        } catch (error) {
          const reason = messageOf(error);
          const service = "service" in step ? step.service : undefined;
          return { is: "failed", message: `Failed to ${describe(step)}: ${reason}`, service, reason };
        }
      }),
    );
    const failures = results.filter((result) => result !== undefined);
    const [failure] = failures;
    if (this.#retries.end(subject, failures, clock.monotonic()) && failure)
      events.emit({
        ...{ kind: failure.is === "locked" ? "locked" : "stepFailed", appId: appIdOf(subject) },
        reason: failure.message,
      });
  }

  /** Undefined while steps are due or the observation is outdated. */
  #reachedOf(appId: number, decided: Plan): Reached | undefined {
    const failure = this.#retries.failureOf(appId);
    const hasWork = decided.get(appId)?.some(isWork) ?? false;
    if (this.#stale.has(appId) || (hasWork && !failure && this.#pauses === 0)) return undefined;
    return failure && hasWork ? failure : { is: "settled" };
  }

  /** Requests a round for the next back-off or wait that ends. */
  #scheduleRecheck(decided: Plan, now: number): void {
    const due = [
      // Steps in progress request a round when they end.
      ...this.#retries.delays(now, (subject) => this.#busy.has(subject)),
      ...[...decided.values()]
        .flat()
        .flatMap((step) => (step.action === "wait" && step.recheckMs !== undefined ? [step.recheckMs] : [])),
    ];
    // A delay of 0 or less is due already: its steps wait for steps in progress, which request a round.
    const later = due.filter((ms) => ms > 0);
    if (later.length > 0 && this.#pauses === 0) this.#requestAfter(Math.min(...later));
  }

  #requestAfter(ms: number): void {
    void this.#scheduler.requestAfter(ms, () => this.hasFailures() || this.#trouble !== undefined);
  }

  #onRoundFailed(error: unknown): void {
    const { clock, events } = this.#parts;
    this.#engineFailures++;
    const why = messageOf(error);
    if (!this.#trouble) events.emit({ kind: "engineUnreachable", reason: why });
    this.#trouble = { since: this.#trouble?.since ?? clock.now(), why };
    this.#waiters.failAll(why);
    this.#requestAfter(delayMs(engineRetry, this.#engineFailures));
  }
}

const noop = () => {};

const toFailure = (outcome: Outcome): Failure | undefined => (outcome.is === "locked" ? outcome : undefined);
