import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { SettingsError, UsageError } from "../../node/settings-error.ts";
import { command, wholeNumber, yesOption } from "../command.ts";
import { toLocalTarget } from "../../../core/operations/local-target.ts";
import { readComposition } from "../compose/composition.ts";
import type { Io } from "../io.ts";
import { cellOf } from "../table.ts";
import { applicationsOf, deviceOf, deviceOption, expectStatus, type Device } from "./client.ts";

/** The names under which compose looks for its file, in its order. */
const usualFiles = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
const usualTimeoutS = 600;
const pollMs = 500;

export const composeOptions = {
  device: deviceOption,
  project: { type: "string", short: "p", value: "<name>", hint: "the application's name (default: as compose does)" },
  profile: { type: "string", value: "<names>", hint: "include the services of these profiles, separated by commas" },
  "allow-unsupported": { type: "boolean", hint: "leave out what devices do not support" },
} as const;

interface Wanted {
  readonly device?: string | undefined;
  readonly project?: string | undefined;
  readonly profile?: string | undefined;
  readonly "allow-unsupported"?: boolean | undefined;
}

/** Reads a compose file, and makes it a target state that keeps the other applications of the device. */
export async function readTarget(given: string | undefined, options: Wanted, environment: Io["environment"]) {
  const file = given ?? usualFiles.find((name) => existsSync(name));
  if (file === undefined) throw new UsageError(`Expected a compose file: there is no ${usualFiles.join(", ")} here`);
  const profiles = (options.profile ?? environment["COMPOSE_PROFILES"] ?? "").split(",").filter(Boolean);
  const read = await readComposition(file, { environment, profiles });
  if (!read.ok) throw new SettingsError(read.faults.join("\n"));
  const device = await deviceOf(options, { environment });
  const before = expectStatus(await device.targetState.reply(), 200).state.local;
  const project = options.project ?? read.project;
  const allowUnsupported = options["allow-unsupported"] === true;
  const target = await toLocalTarget(read.composition, project, { before, allowUnsupported });
  if (!target.ok)
    throw new SettingsError([`${file} cannot run:`, ...target.faults.map((fault) => `  ${fault}`)].join("\n"));
  return { device, project, target, isManaged: before.config["SUPERVISOR_LOCAL_MODE"] === "false" };
}

export const up = command({
  options: {
    ...composeOptions,
    safe: { type: "boolean", hint: "go back to what ran before if this does not prove itself; lasts until --no-safe" },
    "no-safe": { type: "boolean", hint: "let each update stay, whatever comes of it (default)" },
    "no-wait": { type: "boolean", hint: "do not wait until the services run" },
    timeout: { type: "string", value: "<seconds>", hint: `how long to wait (default: ${usualTimeoutS})` },
  },
  about: "The device has to be in local mode. Other applications of the device stay as they are.",
  run: async ({ words: [given], options, environment, print, say, ...io }) => {
    const timeoutS = wholeNumber("timeout", options.timeout) ?? usualTimeoutS;
    const { device, project, target } = await readTarget(given, options, environment);
    if (options.safe && options["no-safe"]) throw new UsageError("Expected --safe or --no-safe, but got both");
    const body = withSafety(target.body, options.safe ? "on" : options["no-safe"] ? "off" : undefined);
    const answer = expectStatus(await device.setTargetState.reply({ body }), 200);
    const warnings = [...new Set([...target.warnings, ...(answer.warnings ?? []).map(target.inTheFile)])];
    if (!options.json) for (const warning of warnings) print(`Warning: ${warning}\n`);
    if (options["no-wait"]) return say(`The device applies ${project}`, { project, warnings });
    const reached = await waitUntilApplied(device, project, timeoutS, options.json ? () => undefined : print, io);
    if (options.json) say("", { project, warnings, running: reached });
    return reached ? 0 : 1;
  },
});

/** Sets whether the device goes back from an update that fails. */
function withSafety<T extends { readonly local: { readonly config?: object } }>(body: T, safe: string | undefined): T {
  if (safe === undefined) return body;
  return { ...body, local: { ...body.local, config: { ...body.local.config, SUPERVISOR_SAFE_UPDATES: safe } } };
}

/** How long services have to run without a problem. */
const stayUpMs = 3000;

/** Prints each change of a service's status, and each problem. Resolves with false after the timeout, or with problems at the end. */
async function waitUntilApplied(
  device: Device,
  project: string,
  timeoutS: number,
  print: Io["print"],
  { style }: Pick<Io, "style">,
): Promise<boolean> {
  const printed = new Map<string, string>();
  const printOnce = (subject: string, text: string, shown = text) => {
    if (printed.get(subject) !== text) print(`${shown}\n`);
    printed.set(subject, text);
  };
  /** Prints each problem once, and returns whether there are any. */
  const isFailing = async (appId: number | undefined): Promise<boolean> => {
    const { problems } = expectStatus(await device.problems.reply(), 200);
    const own = problems.filter((problem) => problem.appId === appId);
    for (const { service = project, kind, message } of own)
      printOnce(`${service} ${kind}`, kind, `${style("red", `${service}:`)} ${cellOf(message)}`);
    return own.length > 0;
  };
  for (let waitedMs = 0; waitedMs < timeoutS * 1000; waitedMs += pollMs) {
    const state = expectStatus(await device.applicationsState.reply(), 200)[project];
    for (const [service, { status, downloadProgress }] of Object.entries(state?.services ?? {})) {
      const now = downloadProgress === null ? status : `${status} ${downloadProgress} %`;
      printOnce(service, now, `${style("cyan", `${service}:`)} ${now}`);
    }
    const failing = await isFailing(state?.appId);
    if (state?.updateStatus === "rejected") {
      print(`The device runs what ran before. To try this again: fairlead update retry\n`);
      return false;
    }
    if (state?.updateStatus === "done") {
      if (failing) return false;
      await sleep(stayUpMs);
      return !(await isFailing(state.appId));
    }
    await sleep(pollMs);
  }
  print(`${project} does not run after ${timeoutS} s. What the device says: fairlead logs, fairlead status\n`);
  return false;
}

export const down = command({
  options: { device: deviceOption, yes: yesOption },
  about: "Without an application: all of them. The volumes stay. The device has to be in local mode.",
  run: async ({ words: [app], options, environment, confirm, say }) => {
    const device = await deviceOf(options, { environment });
    const local = expectStatus(await device.targetState.reply(), 200).state.local;
    const running = await applicationsOf(device);
    const removed = running.filter(({ name, appId }) => app === undefined || name === app || String(appId) === app);
    if (app !== undefined && removed.length === 0)
      throw new UsageError(
        `There is no application ${JSON.stringify(app)}, only: ${running.map(({ name }) => name).join(", ") || "none"}`,
      );
    const names = removed.map(({ name }) => name).join(", ") || "no application";
    if (app === undefined && removed.length > 1) await confirm(`Remove the containers of ${names}?`);
    const ids = new Set(removed.map(({ appId }) => String(appId)));
    const apps = Object.fromEntries(Object.entries(local.apps).filter(([id]) => !ids.has(id)));
    expectStatus(await device.setTargetState.reply({ body: { local: { ...local, apps } } }), 200);
    say(`The device removes ${names}; the volumes stay`, { applications: removed });
  },
});
