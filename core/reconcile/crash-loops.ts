import type { Container } from "../model/container.ts";

/** A container that ends again and again. */
export interface CrashLoop {
  /** How often it has ended in a row. */
  readonly exits: number;
  /** The last exit code; undefined if no observation has shown it. */
  readonly code: number | undefined;
}

interface Run {
  readonly restarts: number;
  readonly startedAt: number;
  readonly exits: number;
  /** The longest run between two of these exits. */
  readonly longestMs: number;
  readonly code: number | undefined;
}

/** From this number of exits in a row on, a container is in a loop. */
const fewestExits = 3;
/** A container that runs for this long stays up. The engine's own back-off begins anew after it, too. */
const shortestSteadyMs = 10_000;
/** A container that ends after a run of this length is not in a loop. */
const longestRunMs = 600_000;

/** A container has recovered when it has run twice as long as before. A leak may take minutes until it ends a program. */
const steadyMs = (longestMs: number): number => Math.max(shortestSteadyMs, 2 * longestMs);

/**
 * Counts the exits of containers that the engine restarts. Only the engine's own restarts count: a container that was stopped
 * on request has not failed.
 */
export class CrashLoops {
  #runs: ReadonlyMap<string, Run> = new Map();

  /** Returns the containers that are in a loop, by id. */
  note(containers: readonly Container[], now: number): ReadonlyMap<string, CrashLoop> {
    this.#runs = new Map(containers.map((one) => [one.id, runOf(one, this.#runs.get(one.id), now)]));
    return new Map(
      containers.flatMap((container): [string, CrashLoop][] => {
        const run = this.#runs.get(container.id);
        if (!run || run.exits < fewestExits || remainingMs(container, run, now) <= 0) return [];
        return [[container.id, { exits: run.exits, code: run.code }]];
      }),
    );
  }

  /** The time until a container that runs may have recovered. No event of the engine announces this. */
  recheckMs(containers: readonly Container[], now: number): number | undefined {
    const due = containers.flatMap((container) => {
      const run = this.#runs.get(container.id);
      if (!run || run.exits < fewestExits || container.state !== "running") return [];
      const ms = remainingMs(container, run, now);
      return ms > 0 ? [ms] : [];
    });
    return due.length > 0 ? Math.min(...due) : undefined;
  }
}

function runOf(container: Container, before: Run | undefined, now: number): Run {
  const { restarts, startedAt, finishedAt, state, exitCode } = container;
  // The engine forgets the exit code when it starts the container again.
  const code = state === "restarting" || state === "exited" ? exitCode : before?.code;
  const same = { restarts, startedAt, code };
  if (!before) {
    // The agent has just started. A container that has been restarted a moment ago is probably in a loop.
    const isUnsteady = state === "restarting" || (state === "running" && now - startedAt < shortestSteadyMs);
    return { ...same, exits: isUnsteady ? restarts : 0, longestMs: 0 };
  }
  const more = restarts - before.restarts;
  // The engine counts anew after a start on request.
  if (more < 0) return { ...same, exits: 0, longestMs: 0 };
  if (more === 0) return { ...same, exits: before.exits, longestMs: before.longestMs };
  const ranMs = Math.max(0, finishedAt - before.startedAt);
  if (ranMs >= longestRunMs) return { ...same, exits: 0, longestMs: 0 };
  return ranMs >= steadyMs(before.longestMs)
    ? { ...same, exits: more, longestMs: ranMs }
    : { ...same, exits: before.exits + more, longestMs: Math.max(before.longestMs, ranMs) };
}

/** How long a container must still run until it has recovered; 0 if nobody restarts it any more. */
const remainingMs = ({ state, startedAt }: Container, { longestMs }: Run, now: number): number =>
  state === "restarting" ? Infinity : state === "running" ? startedAt + steadyMs(longestMs) - now : 0;
