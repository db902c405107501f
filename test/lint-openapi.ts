import { createConfig, lintFromString } from "@redocly/openapi-core";
import { createMemoryDevice } from "../core/embedded/index.ts";
import { openApi } from "../runtimes/worker/admin/openapi.ts";

/** A part of `npm run check`: Redocly's recommended rules on the OpenAPI documents of device and cloud. */

const device = await createMemoryDevice();
const documents = {
  device: await (await device.fetch(new Request("http://device/openapi.json"))).text(),
  cloud: JSON.stringify(openApi()),
};
await device.stop();

const config = await createConfig({ extends: ["recommended"] });
for (const [name, source] of Object.entries(documents)) {
  const found = await lintFromString({ source, absoluteRef: `${name}.json`, config });
  for (const { ruleId, message, location } of found)
    console.error(`OpenAPI of the ${name}: ${location[0]?.pointer ?? "#"}: ${message} (${ruleId})`);
  if (found.length > 0) process.exitCode = 1;
}
