import { accessOnDevice } from "../api/access.ts";
import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/openapi.ts";
import { endpoints } from "../api/index.ts";
import { toOpenApi } from "../api/openapi.ts";
import { supervisorVersion } from "../model/version.ts";

/** Made anew for each request, which are few: it needs no memory in between, and the examples none before the first. */
export async function openApi(_: Input<typeof api.openApi>, _context: object): Promise<Reply<typeof api.openApi>> {
  const { deviceExamples: examples } = await import("../api/examples/device.ts");
  return reply(
    200,
    toOpenApi(endpoints, { ...about, version: supervisorVersion }, { accessOf: accessOnDevice, examples }),
  );
}

const about = {
  title: "Fairlead device API",
  description:
    "The Supervisor API of a device, on port 48484. In local mode no key is needed. The forms of v1 and v2 are those of balena's Supervisor; errors of v3 are problem details.",
};
