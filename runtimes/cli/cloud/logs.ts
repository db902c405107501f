import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { SettingsError } from "../../node/settings-error.ts";
import { command, wholeNumber, type Invocation } from "../command.ts";
import { readAccount } from "./account.ts";
import { linesOf } from "../ndjson.ts";
import { cloudOf, findDevice, reach } from "./client.ts";

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

const logsOptions = {
  follow: { type: "boolean", short: "f", hint: "keep printing new lines" },
  count: { type: "string", short: "n", value: "<n>", hint: "how many of the last lines, or all (default: 100)" },
  service: { type: "string", value: "<service>", hint: "only this service; system: only the lines of the agent" },
} as const;

export const logs = command({ options: logsOptions, run: printLogs });

async function printLogs({
  words: [device = ""],
  options,
  environment,
  print,
  style,
}: Invocation<typeof logsOptions>): Promise<void> {
  const count = options.count === "all" ? "all" : String(wholeNumber("count", options.count) ?? 100);
  const { uuid, fleetId } = await findDevice(cloudOf({ environment }), device);
  const { url, token } = readAccount(environment);
  const ask = (path: string) => reach(url, new Request(url + path, { headers: { authorization: `Bearer ${token}` } }));
  const services = await serviceNames(ask, fleetId);
  const show = (line: LogLine) => {
    const service = line.isSystem ? "system" : (services.get(line.serviceId) ?? `service ${line.serviceId ?? "?"}`);
    if (options.service !== undefined && service !== options.service) return;
    print(
      options.json
        ? `${JSON.stringify({ ...line, service })}\n`
        : `${style("dim", new Date(line.timestamp).toISOString())} ${style("cyan", `${service}:`)} ${line.message}\n`,
    );
  };

  const path = `/device/v2/${uuid}/logs`;
  if (options.follow !== true) {
    const response = await expectOk(await ask(`${path}?count=${count}`));
    z.array(LogLine)
      .parse(await response.json())
      .forEach(show);
    return;
  }
  // The cloud ends a stream after an hour and with each deployment. The next one continues after the last line.
  let query = `count=${count}`;
  let last = { createdAt: 0, lines: 0 };
  for (;;) {
    let known = last.lines;
    const response = await expectOk(await ask(`${path}?stream=1&${query}`));
    for await (const line of linesOf(response.body, LogLine)) {
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
