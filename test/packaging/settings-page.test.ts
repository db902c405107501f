import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { expect, test } from "vitest";
import { settingRows } from "../../runtimes/node/settings.ts";

/** docs/settings.md is generated: `npx vitest -u --config test/vitest.config.ts settings-page` writes it. */
test("docs/settings.md has every setting, as in the table that the agent reads", async () => {
  const rows = settingRows.map(
    ({ flag, variable, hint, fallback, otherwise }) =>
      `| \`--${flag}\` | \`${variable}\` | ${hint} | ${fallback === undefined ? otherwise : `\`${fallback}\``} |`,
  );
  const page = `# Settings of the agent

A flag of \`fairlead agent\` overrides the variable, and the variable overrides the default. An empty value counts as none.
\`fairlead doctor\` takes the same settings. This page is generated from \`runtimes/node/settings.ts\`.

| flag | variable | meaning | default |
| --- | --- | --- | --- |
${rows.join("\n")}
`;
  const file = join(import.meta.dirname, "../../docs/settings.md");
  const style = await resolveConfig(file);
  await expect(await format(page, { ...style, parser: "markdown" })).toMatchFileSnapshot(file);
});
