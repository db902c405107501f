import { readFileSync } from "node:fs";
import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { expect, test } from "vitest";
import { ofCloud } from "../../core/metrics/cloud-families.ts";
import { ofAgent, ofApps, ofHost, ofUse } from "../../core/metrics/families.ts";
import type { Family } from "../../core/metrics/family.ts";

/** The tables of docs/metrics.md are generated: `npx vitest run -u --config test/vitest.config.ts metrics-page` writes them. */

const file = join(import.meta.dirname, "../../docs/metrics.md");

const groups: Readonly<Record<string, Readonly<Record<string, Family>>>> = {
  "The agent": ofAgent,
  "The machine": ofHost,
  "Applications and services": ofApps,
  "What services use: with `?collect=containers`": ofUse,
  "Fleets: `GET /metrics` of the cloud": ofCloud,
};

const tableOf = (families: readonly Family[]): string =>
  [
    "| family | type | labels | what it is |",
    "| --- | --- | --- | --- |",
    ...families.map(
      ({ name, type, labels = [], help }) =>
        `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${help} |`,
    ),
  ].join("\n");

test("docs/metrics.md has every family", async () => {
  const tables = Object.entries(groups).map(
    ([title, families]) => `### ${title}\n\n${tableOf(Object.values(families))}`,
  );
  const page = readFileSync(file, "utf8").replace(
    /(?<=<!-- families -->\n)[\s\S]*(?=<!-- end -->)/,
    `\n${tables.join("\n\n")}\n\n`,
  );
  const style = await resolveConfig(file);
  await expect(await format(page, { ...style, parser: "markdown" })).toMatchFileSnapshot(file);
});
