import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { UsageError } from "../../node/settings-error.ts";
import { command } from "../command.ts";
import { linesOf } from "../ndjson.ts";
import { appOption, deviceOf, deviceOption, expectStatus, findApplication } from "./client.ts";

const LogLine = z.object({ timestamp: z.number(), service: z.string(), isStdErr: z.boolean(), message: z.string() });

const againMs = 1000;

export const logs = command({
  options: {
    device: deviceOption,
    app: appOption,
    follow: { type: "boolean", short: "f", hint: "keep printing new lines" },
    tail: {
      type: "string",
      short: "n",
      value: "<n>",
      hint: "how many of the last lines of each service, or all (100)",
    },
    since: { type: "string", value: "<time>", hint: "only lines since then: 10m, 2h, or 2026-11-23T20:00:00Z" },
  },
  about: "What the services write. The agent's own log: journalctl -u fairlead.",
  run: async ({ words: [service], options, environment, print, style }) => {
    const { tail = "100" } = options;
    if (!/^(all|\d{1,9})$/.test(tail))
      throw new UsageError(`--tail: expected a number of lines, or all, but got ${JSON.stringify(tail)}`);
    const device = await deviceOf(options, { environment });
    const isChosen = service !== undefined || options.app !== undefined;
    const of = isChosen ? { appId: (await findApplication(device, { app: options.app, service })).appId } : {};
    let latest = 0;
    const show = (line: z.output<typeof LogLine>) => {
      latest = Math.max(latest, line.timestamp);
      print(
        options.json
          ? `${JSON.stringify(line)}\n`
          : `${style("dim", new Date(line.timestamp).toISOString())} ${style(line.isStdErr ? "red" : "cyan", `${line.service}:`)} ${line.message}\n`,
      );
    };
    const first = { ...of, service, tail, since: options.since, ...(options.follow && { follow: true }) };
    for (let params = first; ; params = { ...first, tail: "all", since: String((latest + 1) / 1000) }) {
      const lines = expectStatus(await device.serviceLogs.reply({ params }), 200);
      for await (const line of linesOf(lines, LogLine)) show(line);
      if (!options.follow) return;
      // A cloud ends a stream after a time. The next one continues after the last line.
      if (latest === 0) latest = Date.now();
      await sleep(againMs);
    }
  },
});
