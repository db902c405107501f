import { jsonFault } from "../../../core/model/show.ts";
import { UsageError } from "../../node/settings-error.ts";
import { command, fleetOption, wholeNumber } from "../command.ts";
import { readAccount } from "./account.ts";
import { cloudOf, findFleet, reach, uuidOf } from "./client.ts";

export const call = command({
  orFleet: true,
  options: {
    fleet: { ...fleetOption, hint: "to all devices of this fleet" },
    data: { type: "string", value: "<json>", hint: "the body" },
    wait: { type: "string", value: "<seconds>", hint: "how long to wait for the device (default: 50)" },
  },
  run: async ({ words, options, environment, print, warn }) => {
    const [path = "", method = "", device = ""] = words.toReversed();
    if (!path.startsWith("/"))
      throw new UsageError(`Expected a path such as /v1/device, but got ${JSON.stringify(path)}`);
    const wait = wholeNumber("wait", options.wait);
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
          ...(wait !== undefined && { prefer: `wait=${wait}` }),
        },
        body: JSON.stringify({ ...target, method: method.toUpperCase(), ...data }),
      }),
    );
    // Each chunk is printed on arrival: the answer may be a log that is followed.
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) print(decoder.decode(chunk, { stream: true }));
    print("\n");
    if (response.ok) return 0;
    warn(`Status ${response.status}\n`);
    return 1;
  },
});

function parseData(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch (error) {
    throw new UsageError(`--data is no JSON: ${jsonFault(error)}`);
  }
}
