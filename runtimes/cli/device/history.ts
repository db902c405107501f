import { shortenIds } from "../../../core/model/show.ts";
import { command, wholeNumber } from "../command.ts";
import { shortTime } from "../table.ts";
import { appOption, applicationsOf, deviceOf, deviceOption, expectStatus, findApplication } from "./client.ts";

const usualCount = 50;
/** The device keeps no more events. */
const most = 1000;

export const history = command({
  options: {
    device: deviceOption,
    app: appOption,
    count: { type: "string", short: "n", value: "<n>", hint: `how many of the last entries (default: ${usualCount})` },
  },
  about:
    "The newest entry comes last. The device remembers its last 1,000 events: on a busy one, that may be few entries.",
  run: async ({ words: [service], options, show, ...io }) => {
    const count = Math.min(most, wholeNumber("count", options.count) ?? usualCount);
    const device = await deviceOf(options, io);
    const apps = options.app === undefined ? await applicationsOf(device) : [await findApplication(device, options)];
    const found = await Promise.all(
      apps.map(async ({ appId, name }) => {
        const params = { appId, limit: most };
        const answer = expectStatus(await device.history.reply({ params }), 200);
        return answer.history.map((entry) => ({ ...entry, application: name }));
      }),
    );
    const entries = found
      .flat()
      .filter((entry) => service === undefined || entry.service === service)
      .toSorted((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
      .slice(-count);
    // Throws for a service that there is not.
    if (entries.length === 0 && service !== undefined) await findApplication(device, { app: options.app, service });
    if (options.json) return show(entries);
    show(
      entries.map(({ at, application, service: of, what, by, release, why }) => ({
        ...{ time: shortTime(at), application, service: of ?? "(all)", what: inWords(what), by },
        ...{ release: release?.slice(0, 12), why: shortenIds(why) },
      })),
      "Nothing is known to have happened",
    );
  },
});

/** "updateBegun" → "update begun" */
const inWords = (name: string): string => name.replace(/[A-Z]/g, (capital) => ` ${capital.toLowerCase()}`);
