import * as api from "../../../core/api/admin/index.ts";
import { SettingsError } from "../../node/settings-error.ts";
import { readComposition } from "../compose/composition.ts";
import { pinImages } from "../compose/pin-images.ts";
import { askRegistry, dockerCredentials } from "../compose/registry.ts";
import type { Print } from "../command.ts";
import { expectStatus, findFleet, text, type Command } from "./command.ts";

const lookUpTimeoutMs = 15_000;

export const releaseCommand: Command = {
  usage: "release <fleet> <compose file>",
  hint: "release a compose file: the fleet's devices update to it",
  run: async ({ words: [fleetName = "", file = ""], options, environment, call, print, show }) => {
    const profiles = (text(options["profile"]) ?? environment["COMPOSE_PROFILES"] ?? "").split(",").filter(Boolean);
    const read = await readComposition(file, { environment, profiles });
    if (!read.ok) throw new SettingsError(read.faults.join("\n"));
    const fleet = await findFleet(call, fleetName);
    const { composition, warnings } = options["keep-tags"]
      ? { composition: read.composition, warnings: [] }
      : await lookUpImages(read.composition, fleet.deviceType);
    const commit = text(options["commit"]);
    const body = {
      composition,
      ...(commit !== undefined && { commit }),
      ...(options["allow-unsupported"] === true && { allowUnsupported: true }),
      ...(options["dry-run"] === true && { dryRun: true }),
    };
    const answer = await call(api.createRelease, { params: { fleetId: fleet.id }, body });
    if (answer.status === 400 && "error" in answer.body) throw new SettingsError(refusalOf(file, answer.body.error));
    const made = options["dry-run"] ? expectStatus(answer, 200) : expectStatus(answer, 201);
    if (options["json"]) return show({ ...made, warnings: [...warnings, ...made.warnings] });
    for (const warning of [...warnings, ...made.warnings]) print(`Warning: ${warning}\n`);
    for (const [service, asked] of Object.entries(made.powers))
      print(`${service} may control the host: ${asked.join(", ")}\n`);
    if ("changes" in made) printChanges(made.changes, print);
    else
      print(
        `Release ${made.commit} of ${made.services.join(", ") || "no services"}${made.target ? "" : "; the fleet is pinned to another"}\n`,
      );
  },
};

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
