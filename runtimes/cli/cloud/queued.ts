import type * as api from "../../../core/api/admin/index.ts";
import { command } from "../command.ts";
import { ageOf } from "../table.ts";
import { cloudOf, expectStatus, uuidOf } from "./client.ts";

/** Requests that wait in the cloud for a device that is offline: those of `cloud call --when-online`. */

export const list = command({
  options: {},
  run: async ({ words: [device = ""], options, environment, show }) => {
    const cloud = cloudOf({ environment });
    const all = expectStatus(await cloud.commands.reply({ params: { uuid: await uuidOf(cloud, device) } }), 200);
    show(options.json ? all : all.map(toRow), "This token has queued nothing for the device within 24 hours");
  },
});

const toRow = ({ id, request, state, createdAt, answer, why }: api.Command) => ({
  ...{ id, request, state, queued: `${ageOf(createdAt)} ago` },
  answer: answer?.status ?? why ?? "-",
});

export const show = command({
  options: {},
  run: async ({ words: [device = "", commandId = ""], environment, show: print }) => {
    const cloud = cloudOf({ environment });
    const params = { uuid: await uuidOf(cloud, device), commandId };
    print(expectStatus(await cloud.command.reply({ params }), 200));
  },
});

export const cancel = command({
  options: {},
  run: async ({ words: [device = "", commandId = ""], environment, say }) => {
    const cloud = cloudOf({ environment });
    const params = { uuid: await uuidOf(cloud, device), commandId };
    expectStatus(await cloud.cancelCommand.reply({ params }), 204);
    say(`The device will not get ${commandId}`, { id: commandId });
  },
});
