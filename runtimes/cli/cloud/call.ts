import { jsonFault } from "../../../core/model/show.ts";
import { UsageError } from "../../node/settings-error.ts";
import { command, fleetOption, wholeNumber } from "../command.ts";
import { secondsIn } from "../seconds.ts";
import { readAccount } from "./account.ts";
import { cloudOf, findFleet, reach, uuidOf } from "./client.ts";

const times = "such as 90s, 10m or 2h";

export const call = command({
  orFleet: true,
  options: {
    fleet: { ...fleetOption, hint: "to all devices of this fleet" },
    data: { type: "string", value: "<json>", hint: "the body" },
    wait: { type: "string", value: "<seconds>", hint: "how long to wait for the device (default: 50)" },
    "when-online": { type: "boolean", hint: "if the device is offline, it gets the request when it is back" },
    expires: { type: "string", value: "<time>", hint: `how long such a request stays, ${times} (default: 24h)` },
  },
  run: async ({ words, options, environment, print, warn }) => {
    const [path = "", method = "", device = ""] = words.toReversed();
    if (!path.startsWith("/"))
      throw new UsageError(`Expected a path such as /v1/device, but got ${JSON.stringify(path)}`);
    const wait = wholeNumber("wait", options.wait);
    const whenOnline = options["when-online"] ?? false;
    const expires = options.expires === undefined ? undefined : secondsIn("expires", options.expires, times);
    if (expires !== undefined && !whenOnline) throw new UsageError("--expires is for requests with --when-online");
    if (whenOnline && options.fleet !== undefined) throw new UsageError("--when-online is for one device, not a fleet");
    const data = options.data === undefined ? {} : { data: parseData(options.data) };
    const cloud = cloudOf({ environment });
    const target =
      options.fleet === undefined
        ? { uuid: await uuidOf(cloud, device) }
        : { appId: (await findFleet(cloud, options.fleet)).id };
    const { url, token } = readAccount(environment);
    const response = await reach(
      url,
      new Request(`${url}/supervisor${path}`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          ...preferring({ wait, whenOnline }),
        },
        body: JSON.stringify({
          ...{ ...target, method: method.toUpperCase(), ...data },
          ...(expires !== undefined && { expires }),
        }),
      }),
    );
    // Each chunk is printed on arrival: the answer may be a log that is followed.
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) print(decoder.decode(chunk, { stream: true }));
    print("\n");
    const [, queued] = /\/commands\/([^/]+)$/.exec(response.headers.get("location") ?? "") ?? [];
    if (response.status === 202 && queued !== undefined)
      warn(`The device gets it when it is back: fairlead cloud command show ${device} ${queued}\n`);
    if (response.ok) return 0;
    warn(`Status ${response.status}\n`);
    return 1;
  },
});

function preferring({ wait, whenOnline }: { readonly wait: number | undefined; readonly whenOnline: boolean }) {
  const wishes = [...(whenOnline ? ["respond-async"] : []), ...(wait === undefined ? [] : [`wait=${wait}`])];
  return wishes.length === 0 ? undefined : { prefer: wishes.join(", ") };
}

function parseData(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch (error) {
    throw new UsageError(`--data is no JSON: ${jsonFault(error)}`);
  }
}
