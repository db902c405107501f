import { text as textOf } from "node:stream/consumers";
import * as api from "../../../core/api/admin/index.ts";
import { auditCommand } from "./audit.ts";
import type { Environment } from "../command.ts";
import { cloudUrl, keepAccount, readAccount } from "./account.ts";
import { clientOf, expectStatus, findFleet, reach, table, text, type Command, type Context } from "./command.ts";
import { allDevices, fleetCommands } from "./fleet.ts";
import { parseFlags } from "../../node/flags.ts";
import { SettingsError } from "../../node/settings-error.ts";
import { bareName } from "../../../core/model/secrets.ts";
import { messageOf } from "../../../core/model/show.ts";

const options = {
  json: { type: "boolean", hint: "the answer as JSON" },
  token: { type: "string", hint: "init: the token, or the admin secret; read from standard input if absent" },
  "device-type": { type: "string", hint: "fleet create: such as raspberrypi4-64 (generic-amd64)" },
  name: { type: "string", hint: "fleet key: a name for the key, such as its purpose" },
  days: { type: "string", hint: "fleet key, token create: days until it expires, or never (key: 90; token: never)" },
  uses: { type: "string", hint: "fleet key: how many devices may join with it (no limit)" },
  fleet: {
    type: "string",
    hint: "token create: fleets, separated by commas; other commands: one fleet, instead of a device",
  },
  write: { type: "boolean", hint: "token create: it may make changes" },
  secrets: { type: "boolean", hint: "token create: it may read the values of variables, and passwords" },
  manage: { type: "boolean", hint: "token create: it may create and revoke keys and tokens" },
  data: { type: "string", hint: "call: the body, as JSON" },
  commit: { type: "string", hint: "release: its name, such as the commit of the source (generated)" },
  "dry-run": { type: "boolean", hint: "release: only check the compose file, and show what the release would change" },
  "allow-unsupported": { type: "boolean", hint: "release: leave out what devices do not support" },
  "keep-tags": { type: "boolean", hint: "release: do not look up the images' digests in their registries" },
  profile: { type: "string", hint: "release: include the services of these profiles, separated by commas" },
  service: { type: "string", hint: "env, logs: only for this service" },
  follow: { type: "boolean", hint: "logs, audit: keep printing new lines" },
  count: { type: "string", hint: "logs, audit: how many of the last lines to print (100); for logs also: all" },
  wait: { type: "string", hint: "call: seconds to wait for the device (50)" },
  help: { type: "boolean", hint: "print this help" },
} as const;

const commands: readonly Command[] = [
  {
    usage: "init <url>",
    hint: "store the URL of a cloud and a token for it",
    run: async ({ words: [given = ""], options, environment, print }) => {
      const url = cloudUrl(given);
      const token = typeof options["token"] === "string" ? options["token"] : environment["FAIRLEAD_CLOUD_TOKEN"];
      const account = { url, token: (token ?? (await readToken(print))).trim() };
      const who = expectStatus(await clientOf(account)(api.whoami), 200);
      const file = keepAccount(account, environment);
      print(`${url} lets ${who.tokenId} ${saidPermissions(who)} ${fleetsOf(who.fleets)}. Kept in ${file}\n`);
    },
  },
  {
    usage: "fleet",
    hint: "list the fleets",
    run: async ({ call, show }) => show(expectStatus(await call(api.fleets), 200)),
  },
  {
    usage: "fleet create <name>",
    hint: "create a fleet",
    run: async ({ words: [name = ""], options, call, show }) => {
      const deviceType = text(options["device-type"]);
      show(expectStatus(await call(api.createFleet, { body: { name, ...(deviceType && { deviceType }) } }), 201));
    },
  },
  {
    usage: "fleet rename <fleet> <name>",
    hint: "give a fleet another name",
    run: async ({ words: [fleet = "", name = ""], call, show }) => {
      const { id } = await findFleet(call, fleet);
      show(expectStatus(await call(api.changeFleet, { params: { fleetId: id }, body: { name } }), 200));
    },
  },
  {
    usage: "fleet delete <fleet>",
    hint: "delete a fleet that has no devices",
    run: async ({ words: [fleet = ""], call, print }) => {
      const { id, name } = await findFleet(call, fleet);
      expectStatus(await call(api.deleteFleet, { params: { fleetId: id } }), 204);
      print(`There is no fleet ${name} any more\n`);
    },
  },
  {
    usage: "fleet key <fleet>",
    hint: "create a provisioning key, with which devices join the fleet",
    run: async ({ words: [fleet = ""], options, call, account, print, show }) => {
      const { id } = await findFleet(call, fleet);
      const name = text(options["name"]);
      const uses = positive(options, "uses");
      const body = { ...(name && { name }), ...lifetime(options), ...(uses !== undefined && { uses }) };
      const made = expectStatus(await call(api.createProvisioningKey, { params: { fleetId: id }, body }), 201);
      if (options["json"]) return show(made);
      const until = made.expiresAt === null ? "It does not expire" : `It is good until ${made.expiresAt.slice(0, 10)}`;
      const devices =
        made.usesLeft === null ? "" : `, for ${made.usesLeft} ${made.usesLeft === 1 ? "device" : "devices"}`;
      print(
        `${made.key}\n\nIt is shown only now. ${until}${devices}. On a device:\n  fairlead join ${account().url} --key ${made.key}\n`,
      );
    },
  },
  {
    usage: "fleet keys <fleet>",
    hint: "list its provisioning keys, without their secret values",
    run: async ({ words: [fleet = ""], call, show }) => {
      const { id } = await findFleet(call, fleet);
      show(expectStatus(await call(api.provisioningKeys, { params: { fleetId: id } }), 200));
    },
  },
  {
    usage: "fleet revoke-key <fleet> <key id>",
    hint: "delete a provisioning key: no device can join with it any more",
    run: async ({ words: [fleet = "", keyId = ""], call, print }) => {
      const { id } = await findFleet(call, fleet);
      expectStatus(await call(api.deleteProvisioningKey, { params: { fleetId: id, keyId } }), 204);
      print("No device joins with this key any more\n");
    },
  },
  {
    usage: "token",
    hint: "list the tokens, without their secret values",
    run: async ({ call, show }) => show(expectStatus(await call(api.tokens), 200)),
  },
  {
    usage: "token create <name>",
    hint: "create a token for --fleet or all fleets; without --write and so on, it may only read",
    run: async ({ words: [name = ""], options, call, print, show }) => {
      const names = text(options["fleet"])?.split(",");
      const ids = names && (await Promise.all(names.map(async (one) => (await findFleet(call, one)).id)));
      const fleets: number[] | "all" = ids ?? "all";
      const may = (option: string) => options[option] === true;
      const permissions = { write: may("write"), secrets: may("secrets"), manage: may("manage") };
      const body = { name, fleets, ...permissions, ...lifetime(options) };
      const made = expectStatus(await call(api.createToken, { body }), 201);
      if (options["json"]) return show(made);
      print(`${made.token}\n\nIt is shown only now. Its id, by which it is revoked, is ${made.id}\n`);
    },
  },
  {
    usage: "token revoke <id>",
    hint: "revoke a token, and all keys and tokens that were made with it",
    run: async ({ words: [tokenId = ""], options, call, print, show }) => {
      const ended = expectStatus(await call(api.revokeToken, { params: { tokenId } }), 200);
      if (options["json"]) return show(ended);
      print(["The token is refused from now on", ...saidEnded(ended)].map((line) => `${line}\n`).join(""));
    },
  },
  auditCommand,
  ...fleetCommands,
  {
    usage: "device",
    hint: "list all fields of the devices of all fleets, or of --fleet",
    run: async (context) => context.show(await allDevices(context)),
  },
  {
    usage: "device show <uuid>",
    hint: "show one device",
    run: async ({ words: [uuid = ""], call, show }) =>
      show(expectStatus(await call(api.device, { params: { uuid } }), 200)),
  },
  {
    usage: "device rename <uuid> <name>",
    hint: "give a device another name",
    run: async ({ words: [uuid = "", name = ""], call, show }) =>
      show(expectStatus(await call(api.changeDevice, { params: { uuid }, body: { name } }), 200)),
  },
  {
    usage: "device move <uuid> <fleet>",
    hint: "move a device to another fleet",
    run: async ({ words: [uuid = "", fleet = ""], call, show }) => {
      const { id } = await findFleet(call, fleet);
      show(expectStatus(await call(api.changeDevice, { params: { uuid }, body: { fleetId: id } }), 200));
    },
  },
  {
    usage: "device delete <uuid>",
    hint: "delete a device: its key becomes invalid, its connection is closed",
    run: async ({ words: [uuid = ""], call, print }) => {
      expectStatus(await call(api.deleteDevice, { params: { uuid } }), 204);
      print("The device is forgotten\n");
    },
  },
  {
    usage: "device new-key <uuid>",
    hint: "create a new key for a device; the old key becomes invalid",
    run: async ({ words: [uuid = ""], call, print }) =>
      print(`${expectStatus(await call(api.replaceDeviceKey, { params: { uuid } }), 200).key}\n`),
  },
  {
    usage: "call <uuid> <method> <path>",
    hint: "send a request to a device's API; with --fleet (and no uuid), to all its devices",
    orFleet: true,
    run: callDevices,
  },
];

const help = `Usage: fairlead cloud <command>

${commands.map(({ usage, hint }) => `  ${usage.padEnd(34)} ${hint}`).join("\n")}

A <fleet> is given by its name or id; a <device> by its name, its uuid or the beginning of its uuid.

Options:
${Object.entries(options)
  .map(([name, { hint }]) => `  --${name.padEnd(14)} ${hint}`)
  .join("\n")}

The commands use the cloud of fairlead cloud init, or that of FAIRLEAD_CLOUD_URL and FAIRLEAD_CLOUD_TOKEN.
`;

/** `fairlead cloud …`. Returns the exit status. Throws `SettingsError` for faults that the user can correct. */
export async function cloudCommand(
  args: readonly string[],
  environment: Environment,
  print: (text: string) => void,
): Promise<number> {
  const { values, positionals } = parseFlags(args, options, true);
  if (values.help || positionals.length === 0) return (print(help), 0);
  const command = findCommand(positionals);
  if (!command) throw new SettingsError(`There is no command ${said(positionals)}.\n\n${help}`);
  const [verbs, wanted] = [verbsOf(command), command.usage.match(/<[^>]+>/g) ?? []];
  const words = positionals.slice(verbs.length);
  const needed = command.orFleet && values.fleet !== undefined ? wanted.slice(1) : wanted;
  const isMany = command.usage.endsWith("…");
  if (words.length < needed.length || (words.length > needed.length && !isMany))
    throw new SettingsError(
      `Expected: fairlead cloud ${[...verbs, ...needed].join(" ")}${isMany ? "…" : ""}, but got ${said(positionals)}`,
    );

  const account = () => readAccount(environment);
  const show = (what: object | readonly object[]) =>
    print(values.json ? `${JSON.stringify(what, undefined, 2)}\n` : table(what));
  // The account is read only when it is needed: `init` runs without one.
  const call: Context["call"] = async (endpoint, ...sent) => clientOf(account())(endpoint, ...sent);
  return (await command.run({ words, options: values, environment, call, account, print, show })) ?? 0;
}

/** The typed words without the values of variables, since the message may be logged by a pipeline. */
const said = (words: readonly string[]): string => JSON.stringify(words.map(bareName).join(" "));

const verbsOf = ({ usage }: Command): readonly string[] => usage.split(" ").filter((word) => /^[a-z-]+$/.test(word));

/** Of the commands that match, the one with the most words. */
const findCommand = (words: readonly string[]): Command | undefined =>
  commands
    .filter((command) => verbsOf(command).every((verb, n) => words[n] === verb))
    .toSorted((a, b) => verbsOf(b).length - verbsOf(a).length)[0];

async function callDevices({ words, options, call, account, print }: Context): Promise<number> {
  const fleet = text(options["fleet"]);
  const [path = "", method = "", uuid] = words.toReversed();
  if (!path.startsWith("/"))
    throw new SettingsError(`Expected a path such as /v1/device, but got ${JSON.stringify(path)}`);
  const target = fleet === undefined ? { uuid } : { appId: (await findFleet(call, fleet)).id };
  const data = text(options["data"]);
  const wait = text(options["wait"]);
  const { url, token } = account();
  const response = await reach(
    url,
    new Request(`${url}/supervisor${path}`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        ...(wait !== undefined && { prefer: `wait=${wait}` }),
      },
      body: JSON.stringify({ ...target, method, ...(data !== undefined && { data: parseData(data) }) }),
    }),
  );
  // Each chunk is printed on arrival: the answer may be a log that is followed.
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) print(decoder.decode(chunk, { stream: true }));
  print("\n");
  if (response.ok) return 0;
  process.stderr.write(`Status ${response.status}\n`);
  return 1;
}

function parseData(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch (error) {
    throw new SettingsError(`--data is no JSON: ${messageOf(error)}`);
  }
}

async function readToken(print: Context["print"]): Promise<string> {
  if (process.stdin.isTTY) print("The token, or the admin secret, and then Ctrl-D: ");
  return textOf(process.stdin);
}

function lifetime(options: Context["options"]): { lifetimeDays?: number | "never" } {
  const lifetimeDays = options["days"] === "never" ? "never" : positive(options, "days", "a number above 0, or never");
  return lifetimeDays === undefined ? {} : { lifetimeDays };
}

function positive(options: Context["options"], name: string, expected = "a number above 0"): number | undefined {
  const given = text(options[name]);
  if (given === undefined || Number(given) > 0) return given === undefined ? undefined : Number(given);
  throw new SettingsError(`--${name}: expected ${expected}, but got ${JSON.stringify(given)}`);
}

function saidPermissions({ write, secrets, manage }: Pick<api.Token, "write" | "secrets" | "manage">): string {
  const given = [
    "read",
    ...(write ? ["write"] : []),
    ...(secrets ? ["see secrets"] : []),
    ...(manage ? ["manage"] : []),
  ];
  return given.length === 1 ? "read" : `${given.slice(0, -1).join(", ")} and ${given.at(-1)}`;
}

/** One line for each kind of key or token, if any of that kind were revoked. */
function saidEnded({ tokens, provisioningKeys, deviceKeys, apiKeys, joined }: api.Ended): readonly string[] {
  const lines: readonly (readonly [what: string, count: number])[] = [
    ["Tokens that it had made, which are revoked, too", tokens],
    ["Provisioning keys that it had made, which are deleted", provisioningKeys],
    ["Devices that joined with these keys, and stay; delete those that are not yours", joined],
    ["Devices to which it had given keys, and which must join again", deviceKeys],
    ["Devices whose API key it was told, and that replace it, at the latest when they connect", apiKeys],
  ];
  return lines.flatMap(([what, count]) => (count > 0 ? [`${what}: ${count}`] : []));
}

const fleetsOf = (fleets: readonly number[] | "all"): string =>
  fleets === "all" ? "all fleets" : `fleets ${fleets.join(", ")}`;
