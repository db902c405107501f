import { updateVariableWarnings } from "../../../core/compose/update-words.ts";
import { bareConfig } from "../../../core/model/config.ts";
import { UsageError } from "../../node/settings-error.ts";
import { command, fleetOption, type Invocation, type Options } from "../command.ts";
import { cloudOf, expectStatus, findDevice, findFleet, type Cloud } from "./client.ts";

const fleetInstead = { ...fleetOption, hint: "of a fleet, instead of a device" } as const;
const serviceOption = { type: "string", value: "<service>", hint: "only for this service (default: all)" } as const;

export const list = command({
  orFleet: true,
  options: { fleet: fleetInstead },
  run: async ({ words, options, environment, show }) => {
    const cloud = cloudOf({ environment });
    const owner = await ownerOf(cloud, words, options.fleet);
    const variables =
      owner.is === "fleet"
        ? await cloud.fleetVariables.reply({ params: owner.params })
        : await cloud.deviceVariables.reply({ params: owner.params });
    show(expectStatus(variables, 200), "There are no variables. To set one: fairlead cloud env set");
  },
});

export const set = command({
  orFleet: true,
  options: { fleet: fleetInstead, service: serviceOption },
  run: async (invocation) => {
    const { words, options, environment, print, say } = invocation;
    const pairs = options.fleet === undefined ? words.slice(1) : words;
    const variables = await readVariables(pairs, invocation);
    const cloud = cloudOf({ environment });
    const owner = await ownerOf(cloud, words, options.fleet);
    const body = { variables, ...(options.service !== undefined && { service: options.service }) };
    expectStatus(
      owner.is === "fleet"
        ? await cloud.setFleetVariables.reply({ params: owner.params, body })
        : await cloud.setDeviceVariables.reply({ params: owner.params, body }),
      204,
    );
    const names = Object.keys(variables);
    const warnings = variableWarnings(variables);
    if (!options.json) for (const warning of warnings) print(`Warning: ${warning}\n`);
    say(`Set: ${names.join(", ")}`, { names, ...(warnings.length > 0 && { warnings }) });
  },
});

/** Devices only log a wrong value, and use the default. */
export const variableWarnings = (variables: Readonly<Record<string, string>>): readonly string[] =>
  Object.entries(variables).flatMap(([name, value]) =>
    name.startsWith("SUPERVISOR_UPDATE_")
      ? [`${name}: services get this variable; to configure the device, set RESIN_${name}`]
      : Object.values(updateVariableWarnings(bareConfig({ [name]: value }))).map((warning) => `${name}: ${warning}`),
  );

export const remove = command({
  orFleet: true,
  options: { fleet: fleetInstead, service: serviceOption },
  run: async ({ words, options, environment, say }) => {
    const cloud = cloudOf({ environment });
    const owner = await ownerOf(cloud, words, options.fleet);
    const which = { name: words.at(-1) ?? "", ...(options.service !== undefined && { service: options.service }) };
    expectStatus(
      owner.is === "fleet"
        ? await cloud.deleteFleetVariable.reply({ params: { ...owner.params, ...which } })
        : await cloud.deleteDeviceVariable.reply({ params: { ...owner.params, ...which } }),
      204,
    );
    say(`Removed: ${which.name}`, which);
  },
});

/** The device or fleet whose variables a command reads or changes. */
async function ownerOf(cloud: Cloud, [device = ""]: readonly string[], fleet: string | undefined): Promise<Owner> {
  return fleet === undefined
    ? { is: "device", params: { uuid: (await findDevice(cloud, device)).uuid } }
    : { is: "fleet", params: { fleetId: (await findFleet(cloud, fleet)).id } };
}

type Owner =
  | { readonly is: "device"; readonly params: { readonly uuid: string } }
  | { readonly is: "fleet"; readonly params: { readonly fleetId: number } };

/**
 * Parses `NAME=value`. A value that is not given is asked for, or read from standard input, without a line break at its
 * end: the command line of a program can be read by all users of the machine.
 */
async function readVariables(
  pairs: readonly string[],
  { isTerminal, ask, readInput }: Pick<Invocation<Options>, "isTerminal" | "ask" | "readInput">,
): Promise<Record<string, string>> {
  const unset = pairs.filter((pair) => !pair.includes("="));
  if (unset.length > 1 && !isTerminal)
    throw new UsageError(`Only one value can come from standard input, but ${unset.join(", ")} have none`);
  const variables: Record<string, string> = {};
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at >= 0) variables[pair.slice(0, at)] = pair.slice(at + 1);
    else if (isTerminal) variables[pair] = await ask(`${pair}: `, { secret: true });
    else variables[pair] = (await readInput()).replace(/\r?\n$/, "");
  }
  return variables;
}
