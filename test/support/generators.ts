import { existsSync } from "node:fs";
import { join } from "node:path";
import { missingPrograms } from "../../hardware/run.ts";

/** For which Debian has what a generated client needs. */
export const debianPython = "/usr/bin/python3";

/** The reason why tests with generated clients are skipped; undefined if they run. */
export const noGenerators = reason();

function reason(): string | undefined {
  const folder = join(import.meta.dirname, "../generated/node_modules");
  const absent = [
    ...(existsSync(folder) ? [] : ["generator"]),
    ...missingPrograms(["java"]),
    ...[debianPython, "/usr/lib/python3/dist-packages/urllib3"].filter((path) => !existsSync(path)),
  ];
  if (absent.length === 0) return undefined;
  const why = `No tests with generated clients: there is no ${absent.join(", no ")}`;
  if (process.env["FAIRLEAD_TEST_GENERATORS"] === "required") throw new Error(why);
  return (
    `${why}. To have them: npm ci --prefix test/generated, and apt-get install default-jre-headless python3-urllib3 ` +
    `python3-dateutil python3-six python3-certifi (FAIRLEAD_TEST_GENERATORS=required insists).`
  );
}
