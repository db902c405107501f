import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import * as z from "zod";
import { supervisorVersion } from "../../core/model/version.ts";

const Package = z.object({ name: z.literal("fairlead"), version: z.string() });

/** The version of this package, and that of the API. */
export function programVersion(): string {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    const file = join(folder, "package.json");
    const found = existsSync(file) ? Package.safeParse(JSON.parse(readFileSync(file, "utf8"))).data : undefined;
    if (found) return `${found.version} (Supervisor API ${supervisorVersion})`;
  }
  return `(Supervisor API ${supervisorVersion})`;
}
