import { text as textOf } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import * as api from "../../../core/api/admin/index.ts";
import { expectStatus, findFleet, reach, text, type Command, type Context } from "./command.ts";
import { releaseCommand } from "./release.ts";
import { SettingsError } from "../../node/settings-error.ts";
import { parsePowers, powers, type Power } from "../../../core/model/powers.ts";

/** The commands for releases, pins, variables, device states and logs. */
export const fleetCommands: readonly Command[] = [
  releaseCommand,
  {
    usage: "releases <fleet>",
    hint: "list its releases, newest first",
    run: async ({ words: [fleet = ""], options, call, show }) => {
      const { id } = await findFleet(call, fleet);
      const all = expectStatus(await call(api.releases, { params: { fleetId: id } }), 200);
      if (options["json"]) return show(all);
      show(
        all.map(({ commit, services, target, devices, createdAt }) => ({
          commit,
          services: services.join(","),
          target: target ? "yes" : "no",
          "runs on": devices,
          made: shortTime(createdAt),
        })),
      );
    },
  },
  {
    usage: "fleet forbid <fleet> <power>…",
    hint: "reject releases that ask for these powers, such as privileged (list: docs/security.md)",
    run: (context) => changeForbidden(context, (before, words) => [...before, ...words]),
  },
  {
    usage: "fleet allow <fleet> <power>…",
    hint: "permit these powers again",
    run: (context) => changeForbidden(context, (before, words) => before.filter((power) => !words.includes(power))),
  },
  {
    usage: "pin <device> <commit>",
    hint: "pin a device, or a --fleet, to a release; the commit latest removes the pin",
    orFleet: true,
    run: async ({ words, options, call, print }) => {
      const fleet = text(options["fleet"]);
      const [release = "", device = ""] = words.toReversed();
      if (fleet !== undefined) {
        const { id, name } = await findFleet(call, fleet);
        const made = expectStatus(await call(api.changeFleet, { params: { fleetId: id }, body: { release } }), 200);
        return print(
          `${name} ${made.tracksLatest ? "follows its latest release" : "is pinned to"} ${made.release ?? "(none yet)"}\n`,
        );
      }
      const { uuid } = await findDevice(call, device);
      const { name, target, pinned } = expectStatus(
        await call(api.changeDevice, { params: { uuid }, body: { release } }),
        200,
      );
      print(`${name} ${pinned ? "is pinned to" : "follows its fleet to"} ${target ?? "(none yet)"}\n`);
    },
  },
  {
    usage: "env list <device>",
    hint: "list the names of the variables of a device, or of --fleet",
    orFleet: true,
    run: async (context) => {
      const owner = await ownerOf(context);
      const { call, show } = context;
      show(
        expectStatus(
          owner.is === "fleet"
            ? await call(api.fleetVariables, { params: owner.params })
            : await call(api.deviceVariables, { params: owner.params }),
          200,
        ),
      );
    },
  },
  {
    usage: "env set <device> <NAME=value>…",
    hint: "set variables, for all services or --service; without =value: from standard input",
    orFleet: true,
    run: async (context) => {
      const owner = await ownerOf(context);
      const { words, options, call, print } = context;
      const pairs = owner.is === "fleet" ? words : words.slice(1);
      const service = text(options["service"]);
      const body = { variables: await readVariables(pairs), ...(service !== undefined && { service }) };
      expectStatus(
        owner.is === "fleet"
          ? await call(api.setFleetVariables, { params: owner.params, body })
          : await call(api.setDeviceVariables, { params: owner.params, body }),
        204,
      );
      print(`Set: ${Object.keys(body.variables).join(", ")}\n`);
    },
  },
  {
    usage: "env rm <device> <NAME>",
    hint: "remove a variable",
    orFleet: true,
    run: async (context) => {
      const owner = await ownerOf(context);
      const { words, options, call, print } = context;
      const service = text(options["service"]);
      const which = { name: words.at(-1) ?? "", ...(service !== undefined && { service }) };
      expectStatus(
        owner.is === "fleet"
          ? await call(api.deleteFleetVariable, { params: { ...owner.params, ...which } })
          : await call(api.deleteDeviceVariable, { params: { ...owner.params, ...which } }),
        204,
      );
      print(`Removed: ${which.name}\n`);
    },
  },
  {
    usage: "devices",
    hint: "list the state of the devices of all fleets, or of --fleet",
    run: async (context) => {
      const devices = await allDevices(context);
      context.show(context.options["json"] ? devices : devices.map(toRow));
    },
  },
  {
    usage: "logs <device>",
    hint: "print the last --count lines of its log; with --follow, also new lines",
    run: printLogs,
  },
];

async function changeForbidden(
  { words: [wanted = "", ...words], call, print }: Context,
  change: (before: readonly Power[], words: readonly Power[]) => readonly Power[],
): Promise<void> {
  const { known, unknown } = parsePowers(words.join(" "));
  if (unknown.length > 0)
    throw new SettingsError(`There is no power ${JSON.stringify(unknown[0])}, only: ${powers.join(", ")}`);
  const { id, name, forbidden: before } = await findFleet(call, wanted);
  const body = { forbidden: [...change(before, known)] };
  const { forbidden } = expectStatus(await call(api.changeFleet, { params: { fleetId: id }, body }), 200);
  print(`${name} forbids ${forbidden.join(", ") || "nothing"}\n`);
}

export async function allDevices({ call, options }: Pick<Context, "call" | "options">): Promise<readonly api.Device[]> {
  const fleet = text(options["fleet"]);
  const params = { limit: 500, ...(fleet !== undefined && { fleetId: (await findFleet(call, fleet)).id }) };
  const all: api.Device[] = [];
  for (let after = 0, page: readonly api.Device[] = []; ; after = page.at(-1)?.id ?? 0) {
    page = expectStatus(await call(api.devices, { params: { ...params, ...(after > 0 && { after }) } }), 200);
    all.push(...page);
    if (page.length < params.limit) return all;
  }
}

const toRow = ({ name, uuid, connected, release, target, pinned, updateStatus, progress, heardAt }: api.Device) => ({
  name,
  uuid,
  online: connected ? "yes" : "no",
  runs: release === null ? "-" : release.slice(0, 12),
  "should run": target === null ? "-" : `${target.slice(0, 12)}${pinned ? " (pinned)" : ""}`,
  state: progress === null ? (updateStatus ?? "-") : `${updateStatus ?? "downloading"} ${progress} %`,
  heard: heardAt === null ? "never" : shortTime(heardAt),
});

/** In UTC, without fractions of a second. */
const shortTime = (iso: string): string => iso.slice(0, 19).replace("T", " ");

async function findDevice(call: Context["call"], wanted: string): Promise<api.Device> {
  if (/^([0-9a-f]{32}|[0-9a-f]{62})$/.test(wanted))
    return expectStatus(await call(api.device, { params: { uuid: wanted } }), 200);
  const all = await allDevices({ call, options: {} });
  const found = all.filter(({ name, uuid }) => name === wanted || (wanted.length >= 4 && uuid.startsWith(wanted)));
  const [device] = found;
  if (device && found.length === 1) return device;
  throw new SettingsError(
    device
      ? `${JSON.stringify(wanted)} may be any of: ${found.map(({ name, uuid }) => `${name} (${uuid})`).join(", ")}`
      : `There is no device ${JSON.stringify(wanted)}; fairlead cloud devices lists those that there are`,
  );
}

/** The device or fleet whose variables a command reads or changes. */
async function ownerOf({ words: [device = ""], options, call }: Context): Promise<Owner> {
  const fleet = text(options["fleet"]);
  return fleet === undefined
    ? { is: "device", params: { uuid: (await findDevice(call, device)).uuid } }
    : { is: "fleet", params: { fleetId: (await findFleet(call, fleet)).id } };
}

type Owner =
  | { readonly is: "device"; readonly params: { readonly uuid: string } }
  | { readonly is: "fleet"; readonly params: { readonly fleetId: number } };

/** Parses `NAME=value`. A value that is not given is read from standard input, without a line break at its end. */
async function readVariables(pairs: readonly string[]): Promise<Record<string, string>> {
  const unsaid = pairs.filter((pair) => !pair.includes("="));
  if (unsaid.length > 1)
    throw new SettingsError(`Only one value can come from standard input, but ${unsaid.join(", ")} have none`);
  const entries = pairs.map(async (pair): Promise<[string, string]> => {
    const at = pair.indexOf("=");
    return at < 0
      ? [pair, (await textOf(process.stdin)).replace(/\r?\n$/, "")]
      : [pair.slice(0, at), pair.slice(at + 1)];
  });
  return Object.fromEntries(await Promise.all(entries));
}

const LogLine = z.object({
  createdAt: z.number(),
  timestamp: z.number(),
  isSystem: z.boolean(),
  isStdErr: z.boolean(),
  serviceId: z.number().optional(),
  message: z.string(),
});
type LogLine = z.output<typeof LogLine>;

const againMs = 1000;

async function printLogs({ words: [device = ""], options, call, account, print }: Context): Promise<void> {
  const { uuid, fleetId } = await findDevice(call, device);
  const { url, token } = account();
  const ask = (path: string) => reach(url, new Request(url + path, { headers: { authorization: `Bearer ${token}` } }));
  const services = await serviceNames(ask, fleetId);
  const show = (line: LogLine) => {
    const service = line.isSystem ? "system" : (services.get(line.serviceId) ?? `service ${line.serviceId ?? "?"}`);
    if (text(options["service"]) !== undefined && service !== options["service"]) return;
    print(
      options["json"]
        ? `${JSON.stringify({ ...line, service })}\n`
        : `${new Date(line.timestamp).toISOString()} ${service}: ${line.message}\n`,
    );
  };

  const count = text(options["count"]) ?? "100";
  const path = `/device/v2/${uuid}/logs`;
  if (options["follow"] !== true) {
    const response = await expectOk(await ask(`${path}?count=${encodeURIComponent(count)}`));
    z.array(LogLine)
      .parse(await response.json())
      .forEach(show);
    return;
  }
  // The cloud ends a stream after an hour and with each deployment. The next one continues after the last line.
  let query = `count=${encodeURIComponent(count)}`;
  let last = { createdAt: 0, lines: 0 };
  for (;;) {
    let known = last.lines;
    const response = await expectOk(await ask(`${path}?stream=1&${query}`));
    for await (const line of linesOf(response)) {
      if (line.createdAt === last.createdAt && known > 0) {
        known--;
        continue;
      }
      last = { createdAt: line.createdAt, lines: line.createdAt === last.createdAt ? last.lines + 1 : 1 };
      show(line);
    }
    if (last.createdAt > 0) query = `count=all&start=${last.createdAt}`;
    await sleep(againMs);
  }
}

async function serviceNames(
  ask: (path: string) => Promise<Response>,
  fleetId: number,
): Promise<ReadonlyMap<number | undefined, string>> {
  const path = `/v7/service?$select=id,service_name&$filter=application%20eq%20${fleetId}`;
  const { d } = Services.parse(await (await expectOk(await ask(path))).json());
  return new Map(d.map(({ id, service_name }) => [id, service_name]));
}

const Services = z.object({ d: z.array(z.object({ id: z.number(), service_name: z.string() })) });

async function expectOk(response: Response): Promise<Response> {
  if (response.ok) return response;
  throw new SettingsError(`The cloud refuses (${response.status}): ${await response.text()}`);
}

/** The lines of a stream until it ends or breaks. */
async function* linesOf({ body }: Response): AsyncGenerator<LogLine> {
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for await (const chunk of body ?? []) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line !== "") yield LogLine.parse(JSON.parse(line));
    }
  } catch (error) {
    if (error instanceof z.ZodError || error instanceof SyntaxError) throw error;
  }
}
