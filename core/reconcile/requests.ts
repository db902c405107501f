import type { TargetState } from "../model/target.ts";
import { isSettled, type Plan, type Subject } from "./plan.ts";

/** A target that is dropped when it is reached. `force`: update locks are overridden for it. */
interface Temporary {
  readonly is: "stopped" | "purged";
  readonly force: boolean;
}

/** What callers have requested in addition to the target state: restarts, purges, and overriding of update locks. */
export class Requests {
  readonly #temporary = new Map<number, Temporary>();
  /** By application: the first round that may end the override. Earlier rounds began before the request. */
  readonly #forced = new Map<number, number>();

  setTemporary(appId: number, temporary: Temporary): void {
    this.#temporary.set(appId, temporary);
  }

  /** A round that has begun finds the temporary target reached. That does not end the override, so it lasts until `fromRound`. */
  endTemporary(appId: number, fromRound: number): void {
    this.#temporary.delete(appId);
    const forcedFrom = this.#forced.get(appId);
    if (forcedFrom !== undefined) this.#forced.set(appId, Math.max(forcedFrom, fromRound));
  }

  /** Overrides an application's update locks until a round from `fromRound` on finds its target reached. */
  force(appId: number, fromRound: number): void {
    this.#forced.set(appId, fromRound);
  }

  /** A restart without `force` respects the locks, even during a forced update. */
  isForced(subject: Subject): boolean {
    return typeof subject === "number" && (this.#temporary.get(subject)?.force ?? this.#forced.has(subject));
  }

  forcedUpdates(): ReadonlySet<number> {
    return new Set(this.#forced.keys());
  }

  applyTo(target: TargetState): TargetState {
    if (this.#temporary.size === 0) return target;
    const apps = target.apps.map((app) => {
      const temporary = this.#temporary.get(app.appId);
      return temporary ? { ...app, temporary: temporary.is } : app;
    });
    return { ...target, apps };
  }

  forgetReached(decided: Plan, round: number, isStale: (subject: Subject) => boolean): void {
    for (const [appId, fromRound] of this.#forced) {
      const isReached = isSettled(decided.get(appId)) && !this.#temporary.has(appId);
      if (isReached && fromRound <= round && !isStale(appId)) this.#forced.delete(appId);
    }
  }
}
