import type { DeviceFacts } from "../compose/container-spec.ts";
import { isOn } from "../model/config.ts";
import type { TargetState } from "../model/target.ts";
import type { Clock } from "../ports/clock.ts";
import type { Engine, EngineEvent } from "../ports/engine.ts";
import type { Logs } from "../events/logs.ts";
import type { Applier, Outcome } from "./apply.ts";
import { delayMs } from "../model/retry.ts";
import { engineRetry, failureRetry, lockRetry } from "./backoff.ts";
import { unseen, type CurrentState } from "./current.ts";
import type { Downloads } from "./downloads.ts";
import type { Observer } from "./observe.ts";
import type { Repeats } from "./repeats.ts";
import { isSettled, plan, type Plan, type Subject } from "./plan.ts";
import { describe, isNote, isWork, type Step, type Work } from "./step.ts";
import type { Failure, Reached, View } from "./view.ts";
import { messageOf } from "../model/show.ts";

interface Trouble {
  readonly failure: Failure;
  readonly times: number;
  readonly retryAt: number;
}

/** A target that holds for a while only, and whether the locks count for nothing until it is reached. */
interface Temporary {
  readonly is: "stopped" | "purged";
  readonly force: boolean;
}

interface Waiter {
  readonly appId: number;
  /** The first look that may answer: one that began after the question. */
  readonly fromLook: number;
  readonly answer: (reached: Reached) => void;
}

/** What the loop needs to know of the rest each time that it looks. */
interface Direction {
  readonly target: TargetState;
  readonly device: DeviceFacts;
  readonly localMode: boolean;
}

interface Parts {
  readonly clock: Clock;
  readonly engine: Engine;
  readonly observer: Observer;
  readonly applier: Applier;
  readonly downloads: Downloads;
  readonly repeats: Repeats;
  readonly logs: Logs;
  readonly direction: () => Direction;
  /** Called after each look: what it showed may be new. */
  readonly looked?: (view: View) => void;
}

/** Events come in swarms; one look answers for all of them. */
const eventPauseMs = 50;
const slowedDown = "It is tried again after 1, 2, 4 seconds and so on, up to 5 minutes";

/**
 * Look, plan, act, again. Every reason to look is the same ("look again"), so none can be lost; each application goes at
 * its own pace; and when there is nothing to do, nothing happens until somebody calls `trigger`.
 */
export class Loop {
  view: View | undefined;
  readonly #parts: Parts;
  readonly #busy = new Map<Subject, Promise<void>>();
  /** For whom something was done since the look that is under way began: what it shows of them may be old. */
  readonly #touched = new Set<Subject>();
  readonly #trouble = new Map<Subject, Trouble>();
  readonly #temporary = new Map<number, Temporary>();
  /** The applications whose locks count for nothing, until a look shows their target reached: from this look on. */
  readonly #forced = new Map<number, number>();
  /** For whom something was asked since the step that is under way began: how that ends says nothing about the request. */
  readonly #overtaken = new Set<Subject>();
  readonly #waiters = new Set<Waiter>();
  readonly #recreations = new Map<number, Promise<unknown>>();
  readonly #said = new Map<Subject, string>();
  readonly #noted = new Map<Subject, readonly string[]>();
  /** Looks begun and ended, counted. */
  #begun = 0;
  #ended = 0;
  #looking: Promise<void> | undefined;
  #lookAgain: { fresh: boolean } | undefined;
  #unsettled = true;
  /** How many want everything to be left alone. */
  #pauses = 0;
  readonly #end = new AbortController();
  #wake = new AbortController();
  #engineFailures = 0;
  #troubleSince: number | undefined;
  #unsubscribe: (() => void) | undefined;
  #eventPending: { fresh: boolean } | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  start(): void {
    this.#unsubscribe = this.#parts.engine.onEvent((event) => void this.#onEvent(event));
    this.trigger();
  }

  /** Ends the loop; what it has begun on the engine goes on there, and the next start takes it up. */
  stop(): void {
    this.#end.abort();
    this.#unsubscribe?.();
    this.#wake.abort();
    this.#parts.downloads.cancel();
    for (const { answer } of this.#waiters) answer({ is: "failed", message: "The agent is stopping" });
  }

  /** Look again, with nothing taken for granted. Until then, the device does not count as settled. */
  trigger(): void {
    this.#unsettled = true;
    this.#again(true);
  }

  /** Look again when it suits: something of our own has moved on. */
  nudge(): void {
    this.#again(false);
  }

  /** What there is to see before the first look: nothing. */
  blankView(): View {
    const { clock, direction } = this.#parts;
    const { target, device, localMode } = direction();
    return { current: unseen(clock.now(), device, localMode), target, plan: new Map(), temporary: new Set() };
  }

  /** The same, and what has failed or waits for a lock is tried at once. `force` overrides the locks this time. */
  retry({ force, cancel = false }: { force: boolean; cancel?: boolean }): void {
    if (force)
      for (const { appId } of [...this.#parts.direction().target.apps, ...(this.view?.current.containers ?? [])])
        this.#force(appId);
    if (cancel) this.#parts.downloads.cancel();
    this.#parts.downloads.forgetFailures();
    for (const subject of [...this.#trouble.keys(), ...this.#busy.keys()]) this.#tryAnew(subject);
    this.#parts.repeats.forget();
    this.trigger();
  }

  /** A look that has begun already does not show what is forced, so it cannot end it. */
  #force(appId: number): void {
    this.#forced.set(appId, this.#begun + 1);
  }

  /** A restart that is not forced respects the locks also during an update that is. */
  #isForced(subject: Subject): boolean {
    return typeof subject === "number" && (this.#temporary.get(subject)?.force ?? this.#forced.has(subject));
  }

  /** What has failed so far is no reason to wait, nor is what has begun before and may fail yet. */
  #tryAnew(subject: Subject): void {
    this.#trouble.delete(subject);
    if (this.#busy.has(subject)) this.#overtaken.add(subject);
  }

  /** Whether the last look after the last change found nothing to do, nor to wait for. */
  isSettled(): boolean {
    return !this.#unsettled && this.#busy.size === 0;
  }

  /** Whether nothing is going on: what is not done yet waits for somebody else, or for another try. */
  isAtRest(): boolean {
    const downloading = [...this.#parts.downloads.state().values()].some(({ is }) => is === "running");
    const due = [...(this.view?.plan ?? [])].some(
      ([subject, steps]) => !this.#trouble.has(subject) && steps.some(isWork),
    );
    return this.#busy.size === 0 && !this.#looking && !this.#eventPending && !downloading && !due;
  }

  failureOf(subject: Subject): Failure | undefined {
    return this.#trouble.get(subject)?.failure;
  }

  /** Whether something has failed, or was done in vain. */
  hasFailures(): boolean {
    const { downloads, repeats } = this.#parts;
    return this.#trouble.size > 0 || repeats.any() || [...downloads.state().values()].some(({ is }) => is === "failed");
  }

  /** Since when the engine could not be looked at, if so; milliseconds since the epoch. */
  troubleSince(): number | undefined {
    return this.#troubleSince;
  }

  /** Resolves with the first look that begins from now on; by itself, one that takes nothing for granted. */
  async look({ fresh = true } = {}): Promise<View> {
    const before = this.#begun;
    do {
      this.#again(fresh);
      await this.#looking;
    } while (!this.#end.signal.aborted && this.#ended <= before && this.#troubleSince === undefined);
    if (this.view && this.#ended > before) return this.view;
    throw new Error("The engine cannot be reached");
  }

  /** Runs `act` while the loop leaves the application alone, then looks again. */
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
   * Runs `act` while the loop leaves everything alone; its signal fires when the loop ends. `by` is whose step this is,
   * and need not be waited for.
   */
  async whilePaused<T>(act: (end: AbortSignal) => Promise<T>, by?: Subject): Promise<T> {
    this.#pauses++;
    try {
      await Promise.all([...this.#busy].flatMap(([subject, ended]) => (subject === by ? [] : [ended])));
      return await act(this.#end.signal);
    } finally {
      this.#pauses--;
      // What a look shows that began before may be old, of all of them.
      for (const subject of this.view?.plan.keys() ?? []) {
        this.#touched.add(subject);
        if (subject !== "device") this.#parts.repeats.forget(subject);
      }
      this.trigger();
    }
  }

  get #paused(): boolean {
    return this.#pauses > 0;
  }

  /** Takes an application through a temporary target and back: restart and purge. One after the other. */
  recreate(appId: number, temporary: "stopped" | "purged", options: { force: boolean }): Promise<Reached> {
    const previous = this.#recreations.get(appId) ?? Promise.resolve();
    const result = previous.then(() => this.#recreate(appId, temporary, options));
    this.#recreations.set(appId, result);
    return result;
  }

  async #recreate(appId: number, temporary: "stopped" | "purged", { force }: { force: boolean }): Promise<Reached> {
    this.#temporary.set(appId, { is: temporary, force });
    const down = await this.reached(appId);
    this.#temporary.delete(appId);
    if (down.is === "settled") return this.reached(appId, { force });
    // It could not be taken down, so it stays up: that is no failure of the update.
    this.#tryAnew(appId);
    this.trigger();
    return down;
  }

  /** Resolves when there is nothing left to do for an application but to wait, or when it does not get on. */
  reached(appId: number, { force = false } = {}): Promise<Reached> {
    this.#tryAnew(appId);
    this.#parts.repeats.forget(appId);
    if (force) this.#force(appId);
    return new Promise((answer) => {
      this.#waiters.add({ appId, fromLook: this.#begun + 1, answer });
      this.trigger();
    });
  }

  async #onEvent({ what }: EngineEvent): Promise<void> {
    // What is gone comes back, made of what its image's name stands for by now.
    const fresh = what !== "changed";
    if (this.#eventPending) {
      this.#eventPending.fresh ||= fresh;
      return;
    }
    const pending = { fresh };
    this.#eventPending = pending;
    await this.#parts.clock.sleep(eventPauseMs);
    this.#eventPending = undefined;
    this.#again(pending.fresh);
  }

  #again(fresh: boolean): void {
    this.#lookAgain = { fresh: fresh || (this.#lookAgain?.fresh ?? false) };
    if (this.#looking || this.#end.signal.aborted) return;
    this.#looking = this.#lookWhileAsked().finally(() => {
      this.#looking = undefined;
      if (this.#lookAgain) this.#again(false);
    });
  }

  async #lookWhileAsked(): Promise<void> {
    // Whoever asks in this turn of the event loop is answered by one look.
    await Promise.resolve();
    while (this.#lookAgain && !this.#end.signal.aborted) {
      const { fresh } = this.#lookAgain;
      this.#lookAgain = undefined;
      this.#wake.abort();
      this.#wake = new AbortController();
      try {
        await this.#lookOnce(fresh);
        this.#engineFailures = 0;
        this.#troubleSince = undefined;
      } catch (error) {
        this.#onLookFailed(error);
      }
    }
  }

  async #lookOnce(fresh: boolean): Promise<void> {
    const { observer, downloads, direction } = this.#parts;
    const number = ++this.#begun;
    this.#touched.clear();
    for (const subject of this.#busy.keys()) this.#touched.add(subject);
    const { target: accepted, device, localMode } = direction();
    downloads.keep(new Set(accepted.apps.flatMap((app) => app.services.map(({ image }) => image.name))));
    const target = this.#withTemporary(accepted);
    const current = await observer.observe(target, device, localMode, fresh);
    observer.remember(current, (appId) => this.#touched.has(appId));

    const decided = plan(current, target);
    const temporary = new Set(target.apps.flatMap((app) => (app.temporary ? [app.appId] : [])));
    this.view = { current, target: accepted, plan: decided, temporary };
    const [running, ended] = [true, false].map((runs) =>
      current.containers.filter(({ state, startedAt }) => startedAt > 0 && (state === "running") === runs),
    );
    this.#parts.logs.setSources(running ?? [], ended);
    this.#forgetSettled(decided, number);
    for (const step of this.#parts.repeats.note(decided, current, (subject) => this.#touched.has(subject)))
      this.#parts.logs.warning(`Done, and due again: ${describe(step)}. ${slowedDown}`);
    if (direction().target !== accepted) this.#again(true);
    else if (!this.#paused) for (const [subject, steps] of decided) this.#act(subject, steps, current);
    this.#answerWaiters(decided, number);
    this.#ended = number;
    if (!this.#lookAgain)
      this.#unsettled = this.#busy.size > 0 || [...decided.values()].some((steps) => !isSettled(steps));
    this.#sleepUntilDue(decided, current.now);
    this.#parts.looked?.(this.view);
  }

  #withTemporary(target: TargetState): TargetState {
    if (this.#temporary.size === 0) return target;
    const apps = target.apps.map((app) => {
      const temporary = this.#temporary.get(app.appId);
      return temporary ? { ...app, temporary: temporary.is } : app;
    });
    return { ...target, apps };
  }

  #forgetSettled(decided: Plan, look: number): void {
    for (const [subject, steps] of decided) {
      if (this.#touched.has(subject) || steps.some(isWork)) continue;
      this.#trouble.delete(subject);
    }
    for (const subject of this.#trouble.keys()) if (!decided.has(subject)) this.#trouble.delete(subject);
    for (const [appId, fromLook] of this.#forced) {
      const isReached = isSettled(decided.get(appId)) && !this.#temporary.has(appId);
      if (isReached && fromLook <= look && !this.#touched.has(appId)) this.#forced.delete(appId);
    }
  }

  #act(subject: Subject, steps: readonly Step[], current: CurrentState): void {
    if (this.#touched.has(subject)) return;
    this.#sayWaits(subject, steps);
    this.#sayNotes(subject, steps);
    const trouble = this.#trouble.get(subject);
    const work = steps.filter(isWork).filter(({ action }) => {
      // What is being made right now may need an image that nothing shows to be in use yet.
      if (action === "removeImage" && subject === "device" && this.#touched.size > 0) return false;
      return !trouble || trouble.retryAt <= current.now || action === "fetch";
    });
    if (work.length === 0) return;
    const batch = this.#applyAll(subject, work, current).finally(() => {
      this.#busy.delete(subject);
      this.#again(false);
    });
    this.#occupy(subject, batch);
  }

  #occupy(subject: Subject, until: Promise<void>): void {
    this.#busy.set(subject, until);
    this.#touched.add(subject);
    this.#overtaken.delete(subject);
  }

  /** Says once what an application waits for, when there is nothing else to do for it. */
  #sayWaits(subject: Subject, steps: readonly Step[]): void {
    if (steps.some(isWork)) return;
    // Of what was done in vain was warned already.
    const waits = steps
      .flatMap((step) => (step.action === "wait" && !step.again && !step.isSaid ? [step.reason] : []))
      .join(", ");
    if (waits === this.#said.get(subject)) return;
    if (waits) this.#said.set(subject, waits);
    else this.#said.delete(subject);
    if (waits) this.#parts.logs.system(`App ${subject} waits for ${waits}`);
  }

  /** Says each note once, as long as it stays so. */
  #sayNotes(subject: Subject, steps: readonly Step[]): void {
    const noted = this.#noted.get(subject) ?? [];
    const notes = steps.filter(isNote).map(describe);
    for (const note of notes) if (!noted.includes(note)) this.#parts.logs.warning(`App ${subject}: ${note}`);
    // A plan of what comes first does not show all of them.
    this.#noted.set(subject, isSettled(steps) ? notes : [...new Set([...noted, ...notes])]);
  }

  async #applyAll(subject: Subject, work: readonly Work[], current: CurrentState): Promise<void> {
    const { applier, clock, direction, logs, repeats } = this.#parts;
    const force = isOn(direction().target.config, "SUPERVISOR_OVERRIDE_LOCK") || this.#isForced(subject);
    const results = await Promise.all(
      work.map(async (step): Promise<Failure | undefined> => {
        try {
          const failure = toFailure(await applier.apply(step, current, force));
          if (!failure) repeats.done(subject, step);
          return failure;
        } catch (error) {
          return { is: "failed", message: `Failed to ${describe(step)}: ${messageOf(error)}` };
        }
      }),
    );
    const failure = results.find((result) => result !== undefined);
    if (this.#overtaken.has(subject)) return;
    if (!failure) {
      this.#trouble.delete(subject);
      return;
    }
    const before = this.#trouble.get(subject);
    const times = (before?.times ?? 0) + 1;
    const policy = failure.is === "locked" ? lockRetry : failureRetry;
    if (before?.failure.message !== failure.message) logs.warning(failure.message);
    this.#trouble.set(subject, { failure, times, retryAt: clock.now() + delayMs(policy, times) });
  }

  #answerWaiters(decided: Plan, look: number): void {
    for (const waiter of this.#waiters) {
      if (waiter.fromLook > look) continue;
      const trouble = this.#trouble.get(waiter.appId);
      const work = decided.get(waiter.appId)?.some(isWork) ?? false;
      if (this.#touched.has(waiter.appId) || (work && !trouble && !this.#paused)) continue;
      this.#waiters.delete(waiter);
      waiter.answer(trouble && work ? trouble.failure : { is: "settled" });
    }
  }

  /** The next look that only time will bring about. */
  #sleepUntilDue(decided: Plan, now: number): void {
    const due = [
      // Whatever is under way looks again when it ends.
      ...[...this.#trouble].flatMap(([subject, { retryAt }]) => (this.#busy.has(subject) ? [] : [retryAt - now])),
      ...[...decided.values()]
        .flat()
        .flatMap((step) => (step.action === "wait" && step.recheckMs !== undefined ? [step.recheckMs] : [])),
    ];
    // What is due already waits for what is under way elsewhere.
    const later = due.filter((ms) => ms > 0);
    if (later.length > 0 && !this.#paused) void this.#lookAfter(Math.min(...later));
  }

  async #lookAfter(ms: number): Promise<void> {
    const { signal } = this.#wake;
    await this.#parts.clock.sleep(ms, signal);
    if (!signal.aborted) this.#again(this.hasFailures() || this.#troubleSince !== undefined);
  }

  #onLookFailed(error: unknown): void {
    const { clock, logs } = this.#parts;
    this.#engineFailures++;
    if (this.#troubleSince === undefined) logs.warning(`The engine cannot be looked at: ${messageOf(error)}`);
    this.#troubleSince ??= clock.now();
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter);
      waiter.answer({ is: "failed", message: messageOf(error) });
    }
    void this.#lookAfter(delayMs(engineRetry, this.#engineFailures));
  }
}

const noop = () => {};

const toFailure = (outcome: Outcome): Failure | undefined => (outcome.is === "locked" ? outcome : undefined);
