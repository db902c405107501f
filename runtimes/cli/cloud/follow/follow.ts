import type { ReleaseProgress } from "../../../../core/api/admin/index.ts";
import type { Screen } from "../../io.ts";
import { describeChanges, describeState, draw, mostBars, nameOf } from "./describe.ts";

/** What a question for the progress has brought. */
export type Polled =
  | { readonly is: "progress"; readonly progress: ReleaseProgress }
  /** The cloud may answer later. */
  | { readonly is: "unreachable"; readonly reason: string };

export interface FollowOptions {
  /** Lists at most so many devices. */
  readonly poll: (limit: number) => Promise<Polled>;
  readonly timeoutMs: number;
  readonly stayUpMs: number;
  /** Whether offline devices count. */
  readonly awaitsOffline: boolean;
  readonly print: (text: string) => void;
  /** Undefined: the output is not a terminal. Called before each drawing: a terminal may change its size. */
  readonly screen: () => Screen | undefined;
  readonly now: () => number;
  /** Ends early when `signal` is aborted. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
}

/** How it ended, with the last progress that is known. */
export type FollowEnd =
  | { readonly how: "done" | "failed" | "replaced" | "nothing"; readonly progress: ReleaseProgress }
  | { readonly how: "timeout" | "stopped"; readonly progress: ReleaseProgress | undefined };

const pollMs = 2000;
const listedAtEnd = 500;

/** Follows a release, and shows its progress, until its devices are done or do not get further. */
export async function follow(options: FollowOptions): Promise<FollowEnd> {
  const { poll, print, screen, now, signal } = options;
  const deadline = now() + options.timeoutMs;
  let before: ReleaseProgress | undefined;
  let drawn = 0;
  let stuckSince: number | undefined;
  let unreachable: string | undefined;
  const clear = () => {
    if (drawn > 0) print(`\u001b[${drawn}A\u001b[0J`);
    drawn = 0;
  };
  /** The last progress with more devices, which are listed. */
  const whole = async (known: ReleaseProgress): Promise<ReleaseProgress> => {
    const last = await poll(listedAtEnd);
    const progress = last.is === "progress" ? last.progress : known;
    for (const line of describeEnd(progress, options.awaitsOffline)) print(`${line}\n`);
    return progress;
  };

  while (!signal.aborted) {
    const polled = await poll(Math.min(listedAtEnd, Math.max(mostBars, screen()?.rows ?? 0)));
    if (signal.aborted) break;
    if (polled.is === "unreachable") {
      if (unreachable !== polled.reason) (clear(), print(`${polled.reason}; trying again\n`));
      unreachable = polled.reason;
    } else {
      unreachable = undefined;
      const { progress } = polled;
      const size = screen();
      if (size) {
        clear();
        const lines = draw(progress, size);
        print(lines.map((line) => `${line}\n`).join(""));
        drawn = lines.length;
      } else for (const line of describeChanges(before, progress)) print(`${line}\n`);
      if (progress.devices === 0) return { how: before === undefined ? "nothing" : "replaced", progress };
      before = progress;
      const { waiting, updating, settling, failed, offline } = progress.counts;
      const isActive = waiting + updating + settling + (options.awaitsOffline ? offline : 0) > 0;
      if (!isActive && failed === 0) return { how: "done", progress: await whole(progress) };
      // A failed device may recover, as when its registry answers again.
      stuckSince = isActive ? undefined : (stuckSince ?? now());
      if (stuckSince !== undefined && now() - stuckSince >= options.stayUpMs)
        return { how: "failed", progress: await whole(progress) };
    }
    if (now() >= deadline) return { how: "timeout", progress: before && (await whole(before)) };
    await options.sleep(Math.min(pollMs, Math.max(0, deadline - now())), signal);
  }
  return { how: "stopped", progress: before };
}

/** A line for each device that is not done, except that offline ones share one. */
function describeEnd({ first, counts }: ReleaseProgress, awaitsOffline: boolean): readonly string[] {
  const offline = first.filter(({ state }) => state === "offline");
  const rest = first.filter(({ state }) => state !== "done" && state !== "offline");
  const listed = offline.length + rest.length;
  const all = counts.failed + counts.updating + counts.settling + counts.waiting + counts.offline;
  return [
    ...rest.map((one) => `${nameOf(one)} (${one.uuid}): ${describeState(one)}`),
    ...(offline.length > 0
      ? [`Offline${awaitsOffline ? "" : ", they update when they connect"}: ${offline.map(nameOf).join(", ")}`]
      : []),
    ...(all > listed ? [`… and ${all - listed} more`] : []),
  ];
}
