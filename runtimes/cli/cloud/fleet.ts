import { parsePowers, powers, type Power } from "../../../core/model/powers.ts";
import { command, unknownWord, wholeNumber, yesOption, type Invocation, type Options } from "../command.ts";
import { readAccount } from "./account.ts";
import { cloudOf, expectStatus, findFleet } from "./client.ts";
import { daysOption, lifetimeOf } from "./lifetime.ts";

export const list = command({
  options: {},
  run: async (invocation) =>
    invocation.show(
      expectStatus(await cloudOf(invocation).fleets.reply(), 200),
      "There is no fleet yet. To create one: fairlead cloud fleet create <name>",
    ),
});

export const create = command({
  options: {
    "device-type": { type: "string", value: "<slug>", hint: "such as raspberrypi4-64 (default: generic-amd64)" },
  },
  run: async ({ words: [name = ""], options: { "device-type": deviceType }, environment, say }) => {
    const body = { name, ...(deviceType !== undefined && { deviceType }) };
    const made = expectStatus(await cloudOf({ environment }).createFleet.reply({ body }), 201);
    say(
      `Fleet ${made.name}, for devices of type ${made.deviceType}. A key with which devices join it: fairlead cloud fleet key ${shellWord(made.name)}`,
      made,
    );
  },
});

export const rename = command({
  options: {},
  run: async ({ words: [wanted = "", name = ""], environment, say }) => {
    const cloud = cloudOf({ environment });
    const fleet = await findFleet(cloud, wanted);
    const changed = expectStatus(await cloud.changeFleet.reply({ params: { fleetId: fleet.id }, body: { name } }), 200);
    say(`${fleet.name} is ${changed.name} now`, changed);
  },
});

export const remove = command({
  options: { yes: yesOption },
  run: async ({ words: [wanted = ""], environment, confirm, say }) => {
    const cloud = cloudOf({ environment });
    const { id, name } = await findFleet(cloud, wanted);
    await confirm(`Delete the fleet ${name}, its releases and its variables?`);
    expectStatus(await cloud.deleteFleet.reply({ params: { fleetId: id } }), 204);
    say(`There is no fleet ${name} any more`, { id, name });
  },
});

export const key = command({
  options: {
    name: { type: "string", hint: "a name for the key, such as its purpose" },
    days: { ...daysOption, hint: "days until it expires, or never (default: 90)" },
    uses: { type: "string", value: "<n>", hint: "how many devices may join with it (default: no limit)" },
  },
  run: async ({ words: [fleet = ""], options, environment, say }) => {
    const account = readAccount(environment);
    const cloud = cloudOf({ environment });
    const uses = wholeNumber("uses", options.uses);
    const { id } = await findFleet(cloud, fleet);
    const body = {
      ...(options.name !== undefined && { name: options.name }),
      ...lifetimeOf(options.days),
      ...(uses !== undefined && { uses }),
    };
    const made = expectStatus(await cloud.createProvisioningKey.reply({ params: { fleetId: id }, body }), 201);
    const until = made.expiresAt === null ? "It does not expire" : `It is good until ${made.expiresAt.slice(0, 10)}`;
    const devices =
      made.usesLeft === null ? "" : `, for ${made.usesLeft} ${made.usesLeft === 1 ? "device" : "devices"}`;
    say(
      `${made.key}\n\nIt is shown only now. ${until}${devices}. On a device:\n  sudo fairlead join ${account.url} --key ${made.key}`,
      made,
    );
  },
});

export const keys = command({
  options: {},
  run: async ({ words: [fleet = ""], environment, show }) => {
    const cloud = cloudOf({ environment });
    const { id, name } = await findFleet(cloud, fleet);
    show(
      expectStatus(await cloud.provisioningKeys.reply({ params: { fleetId: id } }), 200),
      `${name} has no key. To create one: fairlead cloud fleet key ${shellWord(name)}`,
    );
  },
});

export const revokeKey = command({
  options: { yes: yesOption },
  run: async ({ words: [fleet = "", keyId = ""], environment, confirm, say }) => {
    const cloud = cloudOf({ environment });
    const { id } = await findFleet(cloud, fleet);
    await confirm(`Delete the provisioning key ${keyId}?`);
    expectStatus(await cloud.deleteProvisioningKey.reply({ params: { fleetId: id, keyId } }), 204);
    say("No device joins with this key any more", { id: keyId });
  },
});

export const forbid = command({
  options: {},
  run: (invocation) => changeForbidden(invocation, (before, words) => [...before, ...words]),
});

export const allow = command({
  options: {},
  run: (invocation) => changeForbidden(invocation, (before, words) => before.filter((power) => !words.includes(power))),
});

async function changeForbidden(
  { words: [wanted = "", ...words], environment, say }: Pick<Invocation<Options>, "words" | "environment" | "say">,
  change: (before: readonly Power[], words: readonly Power[]) => readonly Power[],
): Promise<void> {
  const { known, unknown } = parsePowers(words.join(" "));
  if (unknown[0] !== undefined) unknownWord("power", unknown[0], powers);
  const cloud = cloudOf({ environment });
  const { id, name, forbidden: before } = await findFleet(cloud, wanted);
  const body = { forbidden: [...change(before, known)] };
  const changed = expectStatus(await cloud.changeFleet.reply({ params: { fleetId: id }, body }), 200);
  say(`${name} forbids ${changed.forbidden.join(", ") || "nothing"}`, changed);
}

/** A word for a shell's command line. */
const shellWord = (word: string): string => (/^[\w.-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);
