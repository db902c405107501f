import * as api from "../../../core/api/admin/index.ts";
import { command, fleetOption, yesOption } from "../command.ts";
import { ageOf } from "../table.ts";
import { allDevices, cloudOf, expectStatus, findDevice, findFleet } from "./client.ts";

export const list = command({
  options: { fleet: { ...fleetOption, hint: "only the devices of this fleet" } },
  run: async ({ options, environment, show, columns }) => {
    const devices = await allDevices(cloudOf({ environment }), options.fleet);
    show(
      options.json ? devices : devices.map((device) => toRow(device, columns === undefined ? Infinity : shortUuid)),
      "There is no device yet. One joins with a key: fairlead cloud fleet key <fleet>",
    );
  },
});

/** The beginning of a uuid, for a terminal. */
const shortUuid = 12;

const toRow = (
  { name, uuid, connected, release, target, pinned, updateStatus, progress, problems, heardAt }: api.Device,
  uuidLength: number,
) => ({
  name,
  uuid: uuid.slice(0, uuidLength),
  online: connected,
  problem: problemOf(problems),
  runs: release?.slice(0, 12),
  "should run": target === null ? "-" : `${target.slice(0, 12)}${pinned ? " (pinned)" : ""}`,
  state: progress === null ? updateStatus : `${updateStatus ?? "downloading"} ${progress} %`,
  heard: heardAt === null ? "never" : `${ageOf(heardAt)} ago`,
});

/** Why its update has failed, or else the first problem; its age, and how many others there are. */
function problemOf(problems: api.Device["problems"]): string {
  const first = problems.find(({ kind }) => kind === "updateFailed") ?? problems[0];
  if (!first) return "-";
  const { service, message, since } = first;
  const more = problems.length > 1 ? `, +${problems.length - 1}` : "";
  return `${service === undefined ? "" : `${service}: `}${message} (${ageOf(since)}${more})`;
}

export const show = command({
  options: {},
  run: async ({ words: [wanted = ""], environment, show }) => show(await findDevice(cloudOf({ environment }), wanted)),
});

export const rename = command({
  options: {},
  run: async ({ words: [wanted = "", name = ""], environment, say }) => {
    const cloud = cloudOf({ environment });
    const { uuid, name: before } = await findDevice(cloud, wanted);
    const changed = expectStatus(await cloud.changeDevice.reply({ params: { uuid }, body: { name } }), 200);
    say(`${before} is ${changed.name} now`, changed);
  },
});

export const move = command({
  options: {},
  run: async ({ words: [wanted = "", fleetName = ""], environment, say }) => {
    const cloud = cloudOf({ environment });
    const [{ uuid, name }, fleet] = [await findDevice(cloud, wanted), await findFleet(cloud, fleetName)];
    const changed = expectStatus(
      await cloud.changeDevice.reply({ params: { uuid }, body: { fleetId: fleet.id } }),
      200,
    );
    say(`${name} belongs to ${fleet.name} now`, changed);
  },
});

export const remove = command({
  options: { yes: yesOption },
  run: async ({ words: [wanted = ""], environment, confirm, say }) => {
    const cloud = cloudOf({ environment });
    const { uuid, name } = await findDevice(cloud, wanted);
    await confirm(`Delete the device ${name} (${uuid})?`);
    expectStatus(await cloud.deleteDevice.reply({ params: { uuid } }), 204);
    say(`The cloud has forgotten ${name}. What runs on it goes on`, { uuid, name });
  },
});

export const newKey = command({
  options: { yes: yesOption },
  run: async ({ words: [wanted = ""], environment, confirm, say }) => {
    const cloud = cloudOf({ environment });
    const { uuid, name } = await findDevice(cloud, wanted);
    await confirm(`Replace the key of ${name} (${uuid})? It is offline until the new one is in its config.json.`);
    const made = expectStatus(await cloud.replaceDeviceKey.reply({ params: { uuid } }), 200);
    say(made.key, made);
  },
});
