import { setTimeout as sleep } from "node:timers/promises";
import { SettingsError } from "../../node/settings-error.ts";
import { command } from "../command.ts";
import { shortTime } from "../table.ts";
import { appOption, deviceOf, deviceOption, expectStatus, findApplication } from "./client.ts";

const waitSeconds = 30;
const againMs = 2000;

export const events = command({
  options: {
    device: deviceOption,
    app: appOption,
    kinds: { type: "string", value: "<kinds>", hint: "only these kinds, separated by commas: docs/events.md" },
    follow: { type: "boolean", short: "f", hint: "keep printing new events" },
  },
  about: "What the agent did and found: the last 1,000 events at most.",
  run: async ({ options, environment, print, style }) => {
    const device = await deviceOf(options, { environment });
    const of = options.app === undefined ? {} : { app: (await findApplication(device, options)).appId };
    const params = { ...of, ...(options.kinds !== undefined && { kinds: options.kinds }) };
    const ask = async (more: object) =>
      expectStatus(await device.events.reply({ params: { ...params, ...more } }), 200);
    for (let next: object = {}; ;) {
      const answer = await ask(next).catch(async (error: unknown) => {
        // Following goes on when the device is back.
        if (!("after" in next) || !(error instanceof SettingsError)) throw error;
        await sleep(againMs);
        return undefined;
      });
      if (!answer) continue;
      if (answer instanceof ReadableStream) throw new SettingsError("The device answered with a stream");
      for (const { after, before } of answer.gaps)
        print(`${style("yellow", `events after ${after} and before ${before} are lost`)}\n`);
      for (const event of answer.events)
        print(
          options.json
            ? `${JSON.stringify(event)}\n`
            : `${style("dim", shortTime(event.at))} ${event.service === undefined ? "" : `${style("cyan", `${event.service}:`)} `}${event.text}\n`,
        );
      if (!options.follow) return;
      next = { after: answer.last, wait: waitSeconds };
    }
  },
});
