import * as api from "../../../core/api/admin/index.ts";
import { command, fleetOption, yesOption } from "../command.ts";
import { cloudOf, expectStatus, findFleet } from "./client.ts";
import { daysOption, lifetimeOf } from "./lifetime.ts";

export const list = command({
  options: {},
  run: async (invocation) =>
    invocation.show(
      expectStatus(await cloudOf(invocation).tokens.reply(), 200),
      "There is no token yet. To create one: fairlead cloud token create <name>",
    ),
});

export const create = command({
  options: {
    fleet: { ...fleetOption, hint: "only for these fleets, separated by commas (default: all)" },
    write: { type: "boolean", hint: "it may make changes" },
    secrets: { type: "boolean", hint: "it may read the values of variables, and passwords" },
    manage: { type: "boolean", hint: "it may create and revoke keys and tokens" },
    shell: { type: "boolean", hint: "it may run programs in the containers of devices" },
    days: { ...daysOption, hint: "days until it expires, or never (default: never)" },
  },
  run: async ({ words: [name = ""], options, environment, say }) => {
    const { write = false, secrets = false, manage = false, shell = false } = options;
    const cloud = cloudOf({ environment });
    const names = options.fleet?.split(",");
    const ids = names && (await Promise.all(names.map(async (one) => (await findFleet(cloud, one)).id)));
    const fleets: number[] | "all" = ids ?? "all";
    const body = { name, fleets, write, secrets, manage, shell, ...lifetimeOf(options.days) };
    const made = expectStatus(await cloud.createToken.reply({ body }), 201);
    say(`${made.token}\n\nIt is shown only now. Its id, by which it is revoked, is ${made.id}`, made);
  },
});

export const revoke = command({
  options: { yes: yesOption },
  run: async ({ words: [tokenId = ""], environment, confirm, say }) => {
    await confirm(`Revoke the token ${tokenId}, and all keys and tokens that were made with it?`);
    const ended = expectStatus(await cloudOf({ environment }).revokeToken.reply({ params: { tokenId } }), 200);
    say(["The token is refused from now on", ...endedLines(ended)].join("\n"), ended);
  },
});

/** One line for each kind of key or token, if any of that kind were revoked. */
function endedLines({ tokens, provisioningKeys, deviceKeys, apiKeys, joined }: api.Ended): readonly string[] {
  const lines: readonly (readonly [what: string, count: number])[] = [
    ["Tokens that it had made, which are revoked, too", tokens],
    ["Provisioning keys that it had made, which are deleted", provisioningKeys],
    ["Devices that joined with these keys, and stay; delete those that are not yours", joined],
    ["Devices to which it had given keys, and which must join again", deviceKeys],
    ["Devices whose API key it was told, and that replace it, at the latest when they connect", apiKeys],
  ];
  return lines.flatMap(([what, count]) => (count > 0 ? [`${what}: ${count}`] : []));
}
