import { setTimeout as sleep } from "node:timers/promises";
import * as api from "../../../core/api/admin/index.ts";
import { messageOf } from "../../../core/model/show.ts";
import { SettingsError, UsageError } from "../../node/settings-error.ts";
import { command } from "../command.ts";
import type { Io } from "../io.ts";
import { cloudOf, expectStatus, findFleet, type Cloud } from "./client.ts";
import { describeCounts } from "./follow/describe.ts";
import { follow, type Polled } from "./follow/follow.ts";

export const waitOptions = {
  timeout: { type: "string", value: "<minutes>", hint: "stop waiting after this time (default: 30)" },
  "stay-up": {
    type: "string",
    value: "<seconds>",
    hint: "a device is done when nothing of its services has changed for this time (default: 15)",
  },
  offline: { type: "string", value: "wait", hint: "wait: wait for offline devices, too (default: name them only)" },
} as const;

interface WaitSettings {
  readonly minutes: number;
  readonly stayUp: number;
  readonly awaitsOffline: boolean;
}

export function waitSettings(options: Readonly<Partial<Record<keyof typeof waitOptions, string>>>): WaitSettings {
  const { timeout, "stay-up": stayUp, offline } = options;
  if (offline !== undefined && offline !== "wait")
    throw new UsageError(`--offline: expected the word wait, but got ${JSON.stringify(offline)}`);
  return {
    minutes: numberOf("timeout", "minutes", timeout, 30, longestMinutes),
    stayUp: numberOf("stay-up", "seconds", stayUp, 15, api.longestStayUp),
    awaitsOffline: offline === "wait",
  };
}

const longestMinutes = 7 * 24 * 60;

function numberOf(flag: string, unit: string, given: string | undefined, usual: number, most: number): number {
  if (given === undefined) return usual;
  if (/^\d+(\.\d+)?$/.test(given) && Number(given) <= most) return Number(given);
  throw new UsageError(`--${flag}: expected a number of ${unit}, at most ${most}, but got ${JSON.stringify(given)}`);
}

export const wait = command({
  options: waitOptions,
  about:
    "The exit status is 0 when all devices that are online are done, 1 when one of them has failed or the time is over, and 130 after Ctrl-C.",
  run: async (invocation) => {
    const { words, options, environment } = invocation;
    const [fleetName = "", commit] = words;
    const settings = waitSettings(options);
    const cloud = cloudOf({ environment });
    const fleet = await findFleet(cloud, fleetName);
    const target = commit ?? fleet.release;
    if (target === null)
      throw new SettingsError(
        `${fleet.name} has no release yet. To make one: fairlead cloud release <fleet> <compose file>`,
      );
    return waitForRelease(invocation, cloud, fleet, target, settings);
  },
});

interface Output extends Pick<Io, "print" | "warn" | "screen"> {
  readonly options: { readonly json?: boolean | undefined };
  readonly show: (what: object) => void;
}

/** Shows how the devices of a fleet get a release. Resolves with the exit status. */
export async function waitForRelease(
  { print, warn, screen, options, show }: Output,
  cloud: Cloud,
  { id: fleetId, name }: api.Fleet,
  commit: string,
  { minutes, stayUp, awaitsOffline }: WaitSettings,
): Promise<number> {
  const poll = async (limit: number): Promise<Polled> => {
    const params = { fleetId, commit, stayUp, limit };
    const answer = await cloud.releaseProgress.reply({ params }).catch((error: unknown) => messageOf(error));
    if (typeof answer === "string") return { is: "unreachable", reason: answer };
    return { is: "progress", progress: expectStatus(answer, 200) };
  };
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  process.once("SIGINT", interrupt);
  // With --json, standard output has nothing but the last progress.
  const tell = options.json ? warn : print;
  try {
    const { how, progress } = await follow({
      poll,
      ...{ timeoutMs: minutes * 60_000, stayUpMs: stayUp * 1000, awaitsOffline },
      print: tell,
      screen: options.json ? () => undefined : screen,
      now: () => performance.now(),
      sleep: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => undefined),
      signal: stop.signal,
    });
    if (options.json && progress) show(progress);
    switch (how) {
      case "done":
        return (tell(`Release ${commit} runs on ${progress.counts.done} of ${progress.devices} devices\n`), 0);
      case "nothing":
        return (tell(`No device of ${name} should run release ${commit}\n`), 0);
      case "failed":
        return (tell(`Release ${commit} has failed: ${describeCounts(progress)}\n`), 1);
      case "timeout":
        tell(
          `Release ${commit} is not done after ${minutes} minutes${progress ? `: ${describeCounts(progress)}` : ""}\n`,
        );
        return 1;
      case "replaced":
        return (tell(`No device of ${name} should run release ${commit} any more\n`), 1);
      case "stopped":
        tell(`The release goes on. To see it again: fairlead cloud wait ${JSON.stringify(name)} ${commit}\n`);
        return 130;
    }
  } finally {
    process.removeListener("SIGINT", interrupt);
  }
}
