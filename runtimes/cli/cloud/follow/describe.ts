import type { ReleaseProgress, UpdateState } from "../../../../core/api/admin/index.ts";
import type { Screen } from "../../io.ts";

/** How a release's progress is shown; pure. */

export type FollowedDevice = ReleaseProgress["first"][number];

/** More devices than this are summarized. */
export const mostBars = 20;

const words: Readonly<Record<UpdateState, string>> = {
  done: "done",
  settling: "runs it; not yet for long enough",
  updating: "updating",
  waiting: "waiting",
  failed: "failed",
  offline: "offline; it updates when it connects",
};

/** Names and reasons come from devices: a control character could change the terminal. */
const plain = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ").trim();

/** One device, as `updating (downloading): reason`, without its percentage. */
export function describeState({ state, updateStatus, reasons }: FollowedDevice): string {
  const status = state === "updating" && updateStatus !== null ? updateStatus : words[state];
  return plain([status, ...reasons].join(": "));
}

export const nameOf = ({ name, uuid }: FollowedDevice): string => plain(name) || uuid;

/** `12 devices: 9 done, 2 updating, 1 failed` */
export function describeCounts({ devices, counts }: ReleaseProgress): string {
  const parts = (["done", "settling", "updating", "waiting", "failed", "offline"] as const)
    .filter((state) => counts[state] > 0)
    .map((state) => `${counts[state]} ${state}`);
  return `${devices} ${devices === 1 ? "device" : "devices"}: ${parts.join(", ") || "none"}`;
}

/** Of a device, 0 to 100. */
function percentOf({ state, updateStatus, progress }: FollowedDevice): number {
  if (state === "done" || state === "settling") return 100;
  if (state !== "updating") return 0;
  return progress ?? (updateStatus === "downloading" ? 0 : 100);
}

/** Of the devices that are not offline. */
function overallPercent({ devices, counts, progress }: ReleaseProgress): number {
  const reachable = devices - counts.offline;
  const parts = counts.done + counts.settling + (counts.updating * (progress ?? 100)) / 100;
  return reachable === 0 ? 0 : Math.floor((parts / reachable) * 100);
}

const barWidth = 20;
const bar = (percent: number): string => {
  const full = Math.floor((percent / 100) * barWidth);
  return `${"█".repeat(full)}${"░".repeat(barWidth - full)} ${String(percent).padStart(3)} %`;
};

/** The lines for a terminal: at most one less than it has, and none longer than it is wide. */
export function draw(progress: ReleaseProgress, { columns, rows }: Screen): readonly string[] {
  const { first, devices } = progress;
  // A line for the counts, and one for the cursor.
  const room = Math.max(0, rows - 2);
  const isWhole = devices <= Math.min(mostBars, room) && first.length === devices;
  const shown = isWhole ? first : first.filter(({ state }) => state !== "done").slice(0, Math.max(0, room - 1));
  const listed = isWhole ? shown.toSorted((a, b) => nameOf(a).localeCompare(nameOf(b))) : shown;
  const width = Math.min(30, Math.max(0, ...listed.map((one) => nameOf(one).length)));
  const lines = [
    ...(isWhole || room === 0 ? [] : [bar(overallPercent(progress))]),
    ...listed.map(
      (one) => `${nameOf(one).slice(0, width).padEnd(width)}  ${bar(percentOf(one))}  ${describeState(one)}`,
    ),
    describeCounts(progress),
  ];
  return lines.map((line) => line.slice(0, Math.max(1, columns - 1)));
}

/** The lines for a log: a line for each device and for the counts that have changed, without percentages. */
export function describeChanges(before: ReleaseProgress | undefined, after: ReleaseProgress): readonly string[] {
  const known = new Map(before?.first.map((one) => [one.uuid, describeState(one)]));
  const isLarge = after.devices > mostBars;
  const changed = after.first.filter(
    (one) => known.get(one.uuid) !== describeState(one) && (!isLarge || one.state === "failed"),
  );
  const counts = describeCounts(after);
  return [
    ...changed.map((one) => `${nameOf(one)}: ${describeState(one)}`),
    ...(before && describeCounts(before) === counts ? [] : [counts]),
  ];
}
