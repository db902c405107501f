import * as api from "../../../core/api/admin/index.ts";
import { SettingsError, UsageError } from "../../node/settings-error.ts";
import { readComposition } from "../compose/composition.ts";
import { pinImages } from "../compose/pin-images.ts";
import { askRegistry, dockerCredentials } from "../compose/registry.ts";
import { command, fleetOption } from "../command.ts";
import { messageIn } from "../answer.ts";
import type { Print } from "../io.ts";
import { shortTime } from "../table.ts";
import { cloudOf, expectStatus, findDevice, findFleet } from "./client.ts";
import { waitForRelease, waitOptions, waitSettings } from "./wait.ts";

const lookUpTimeoutMs = 15_000;

export const create = command({
  options: {
    commit: {
      type: "string",
      value: "<name>",
      hint: "its name, such as the commit of the source (default: generated)",
    },
    "dry-run": { type: "boolean", hint: "only check the compose file, and show what the release would change" },
    profile: { type: "string", value: "<names>", hint: "include the services of these profiles, separated by commas" },
    "allow-unsupported": { type: "boolean", hint: "leave out what devices do not support" },
    "keep-tags": { type: "boolean", hint: "do not look up the images' digests in their registries" },
    wait: { type: "boolean", hint: "wait until the fleet's devices run it, like fairlead cloud wait" },
    ...waitOptions,
  },
  run: async (invocation) => {
    const { words, options, environment, print, warn, show } = invocation;
    const [fleetName = "", file = ""] = words;
    if (options.wait && options["dry-run"]) throw new UsageError("--wait: nothing is released with --dry-run");
    const settings = waitSettings(options);
    const profiles = (options.profile ?? environment["COMPOSE_PROFILES"] ?? "").split(",").filter(Boolean);
    const read = await readComposition(file, { environment, profiles });
    if (!read.ok) throw new SettingsError(read.faults.join("\n"));
    const cloud = cloudOf({ environment });
    const fleet = await findFleet(cloud, fleetName);
    const { composition, warnings } = options["keep-tags"]
      ? { composition: read.composition, warnings: [] }
      : await lookUpImages(read.composition, fleet.deviceType);
    const body = {
      composition,
      ...(options.commit !== undefined && { commit: options.commit }),
      ...(options["allow-unsupported"] && { allowUnsupported: true }),
      ...(options["dry-run"] && { dryRun: true }),
    };
    const answer = await cloud.createRelease.reply({ params: { fleetId: fleet.id }, body });
    if (answer.status === 400) throw new SettingsError(refusalOf(file, messageIn(answer.body)));
    const made = options["dry-run"] ? expectStatus(answer, 200) : expectStatus(answer, 201);
    if (options.json && !options.wait) return show({ ...made, warnings: [...warnings, ...made.warnings] });
    const tell = options.json ? warn : print;
    for (const warning of [...warnings, ...made.warnings]) tell(`Warning: ${warning}\n`);
    for (const [service, asked] of Object.entries(made.powers))
      tell(`${service} may control the host: ${asked.join(", ")}\n`);
    if ("changes" in made) return printChanges(made.changes, print);
    tell(
      `Release ${made.commit} of ${made.services.join(", ") || "no services"}${made.target ? "" : "; the fleet is pinned to another"}\n`,
    );
    return options.wait ? waitForRelease(invocation, cloud, fleet, made.commit, settings) : undefined;
  },
});

export const list = command({
  options: {},
  run: async ({ words: [fleetName = ""], options, environment, show }) => {
    const cloud = cloudOf({ environment });
    const { id, name } = await findFleet(cloud, fleetName);
    const all = expectStatus(await cloud.releases.reply({ params: { fleetId: id } }), 200);
    const rows = all.map(({ commit, services, target, devices, createdAt }) => ({
      commit,
      services: services.join(","),
      target,
      "runs on": devices,
      made: shortTime(createdAt),
    }));
    show(
      options.json ? all : rows,
      `${name} has no release yet. To make one: fairlead cloud release <fleet> <compose file>`,
    );
  },
});

export const pin = command({
  orFleet: true,
  options: { fleet: { ...fleetOption, hint: "pin this fleet, instead of a device" } },
  run: async ({ words, options, environment, say }) => {
    const [release = "", device = ""] = words.toReversed();
    const cloud = cloudOf({ environment });
    if (options.fleet !== undefined) {
      const { id, name } = await findFleet(cloud, options.fleet);
      const made = expectStatus(await cloud.changeFleet.reply({ params: { fleetId: id }, body: { release } }), 200);
      const verb = made.tracksLatest ? "follows its latest release" : "is pinned to";
      return say(`${name} ${verb} ${made.release ?? "(none yet)"}`, made);
    }
    const { uuid } = await findDevice(cloud, device);
    const changed = expectStatus(await cloud.changeDevice.reply({ params: { uuid }, body: { release } }), 200);
    const verb = changed.pinned ? "is pinned to" : "follows its fleet to";
    say(`${changed.name} ${verb} ${changed.target ?? "(none yet)"}`, changed);
  },
});

async function lookUpImages(composition: Readonly<Record<string, unknown>>, deviceType: string) {
  const context = { fetch, credentials: dockerCredentials, timeoutMs: lookUpTimeoutMs };
  const pinned = await pinImages(composition, deviceType, (name) => askRegistry(name, context));
  if (pinned.faults.length > 0) throw new SettingsError(pinned.faults.join("\n"));
  return pinned;
}

/** The cloud's faults, and the option for parts that are not supported. */
const refusalOf = (file: string, error: string): string =>
  [
    `${file} cannot be released:`,
    ...error.split("\n").map((fault) => `  ${fault}`),
    ...(/: not supported/.test(error) ? ["With --allow-unsupported, these parts are left out."] : []),
  ].join("\n");

function printChanges(changes: readonly api.Change[], print: Print): void {
  for (const { part, name, change, fields } of changes)
    print(`${change.padEnd(7)}  ${part} ${name}${fields.length > 0 ? `: ${fields.join(", ")}` : ""}\n`);
  print(changes.length === 0 ? "No changes; nothing was released\n" : "Nothing was released: this was a dry run\n");
}
