import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { plainIo } from "../../runtimes/cli/io.ts";
import { runProgram } from "../../runtimes/cli/run.ts";
import type { Cloud } from "../worker/cloud.ts";
import { adminSecret } from "../worker/cloud.ts";

const Shown = z.object({
  uuid: z.string(),
  name: z.string(),
  fleetId: z.int(),
  connected: z.boolean(),
  release: z.string().nullable(),
  target: z.string().nullable(),
  updateStatus: z.string().nullable(),
});

const Line = z.object({ message: z.string(), isSystem: z.boolean() });

/** The owner's commands. */
export function owner(cloud: Cloud, folder: string) {
  async function type<T>(shape: z.ZodType<T>, ...args: readonly string[]): Promise<T> {
    let said = "";
    const account = { FAIRLEAD_CLOUD_URL: cloud.url(), FAIRLEAD_CLOUD_TOKEN: adminSecret };
    await runProgram(
      ["cloud", ...args, "--json"],
      plainIo(account, (text) => (said += text)),
    );
    return shape.parse(said === "" ? undefined : JSON.parse(said));
  }
  return {
    type,
    say: async (...args: readonly string[]): Promise<void> => {
      const account = { FAIRLEAD_CLOUD_URL: cloud.url(), FAIRLEAD_CLOUD_TOKEN: adminSecret };
      await runProgram(
        ["cloud", ...args],
        plainIo(account, () => undefined),
      );
    },
    /** Creates a release of the fleet with services of these images. */
    release: async (fleet: string, commit: string, images: Readonly<Record<string, string>>): Promise<void> => {
      const file = join(folder, `${commit}.yml`);
      const services = Object.entries(images).map(([name, image]) => `  ${name}:\n    image: ${image}\n`);
      writeFileSync(file, services.length > 0 ? `services:\n${services.join("")}` : "services: {}\n");
      await type(z.unknown(), "release", fleet, file, "--keep-tags", "--commit", commit);
    },
    devices: () => type(z.array(Shown), "devices"),
    /** The messages of a device's log, oldest first. */
    log: async (uuid: string) => {
      const { text } = await cloud.ask("GET", `/device/v2/${uuid}/logs?count=100000`);
      return z.array(Line).parse(JSON.parse(text));
    },
  };
}
