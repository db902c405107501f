import type { Container } from "../model/container.ts";
import type { HttpAnswer, WatchedContainer, WatchFacts } from "../model/update.ts";

interface Run {
  readonly appId: number;
  readonly restarts: number;
  readonly startedAt: number;
  /** Absent: it is not up. */
  readonly upSinceMs: number | undefined;
  readonly health: Container["health"];
  readonly healthSinceMs: number;
  readonly exits: number;
  /** Absent: it has not exited. */
  readonly exitedMs: { readonly first: number; readonly last: number } | undefined;
  readonly code: number | undefined;
}

/**
 * Measures how long containers have been up and healthy, and counts their exits. Each duration begins with the first round
 * that saw it, so a change of the machine's time has no effect, and a restart of the agent begins all of them anew.
 */
export class GateWatch {
  #runs: ReadonlyMap<string, Run> = new Map();

  /** Forgets the containers of an application. The next round begins their watch anew. */
  reset(appId: number): void {
    this.#runs = new Map([...this.#runs].filter(([, run]) => run.appId !== appId));
  }

  /** `answers`: of http gates, by container id. */
  note(
    containers: readonly Container[],
    monotonicMs: number,
    answers: ReadonlyMap<string, HttpAnswer> = new Map(),
  ): WatchFacts {
    this.#runs = new Map(containers.map((one) => [one.id, runOf(one, this.#runs.get(one.id), monotonicMs)]));
    return new Map([...this.#runs].map(([id, run]) => [id, watched(run, answers.get(id), monotonicMs)]));
  }
}

function runOf(container: Container, before: Run | undefined, nowMs: number): Run {
  const { appId, state, restarts, startedAt, exitCode } = container;
  const isSame = before?.restarts === restarts && before.startedAt === startedAt;
  const isUp = state === "running";
  const health = isUp ? container.health : undefined;
  // Only the engine's own restarts count: a container that was stopped on request has not ended by itself. After a start on
  // request, the engine counts from 0.
  const more = before ? Math.max(0, restarts - before.restarts) : 0;
  return {
    ...{ appId, restarts, startedAt, health },
    upSinceMs: isUp ? ((isSame ? before.upSinceMs : undefined) ?? nowMs) : undefined,
    healthSinceMs: isSame && before.health === health ? before.healthSinceMs : nowMs,
    exits: (before?.exits ?? 0) + more,
    exitedMs: more > 0 ? { first: before?.exitedMs?.first ?? nowMs, last: nowMs } : before?.exitedMs,
    // The engine forgets the exit code when it starts the container again.
    code: state === "restarting" || state === "exited" ? exitCode : before?.code,
  };
}

function watched(run: Run, answer: HttpAnswer | undefined, nowMs: number): WatchedContainer {
  const { upSinceMs, health, healthSinceMs, exits, exitedMs, code } = run;
  const healthForMs = nowMs - healthSinceMs;
  return {
    upForMs: upSinceMs === undefined ? 0 : nowMs - upSinceMs,
    ...(health === "healthy" && { healthyForMs: healthForMs }),
    ...(health === "unhealthy" && { unhealthyForMs: healthForMs }),
    exits,
    ...(exits > 1 && exitedMs && { exitsOverMs: exitedMs.last - exitedMs.first }),
    ...(code !== undefined && { code }),
    ...(answer?.ok && upSinceMs !== undefined && { httpOkForMs: nowMs - Math.max(upSinceMs, answer.sinceMs) }),
    ...(answer && { httpDetail: answer.detail }),
  };
}
