import { existsSync } from "node:fs";

/** The browser in which the pages are tested. */
export const executablePath = process.env["FAIRLEAD_TEST_CHROMIUM"] ?? "/usr/bin/chromium";

/** The reason why tests of the pages are skipped; undefined if they run. */
export const noBrowser = reason();

function reason(): string | undefined {
  if (existsSync(executablePath)) return undefined;
  const why = `No tests of the pages: there is no ${executablePath}`;
  if (process.env["FAIRLEAD_TEST_BROWSER"] === "required") throw new Error(why);
  return `${why}. To have them: apt-get install chromium (FAIRLEAD_TEST_BROWSER=required insists).`;
}
