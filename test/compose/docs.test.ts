import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { networkFields, volumeFields } from "../../core/compose/definitions.ts";
import { serviceFields } from "../../core/compose/service-config.ts";
import { withoutEffect } from "../../core/fleet/unsupported.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/compose.md"), "utf8");
const tables = page
  .split("## Fields of a service")[1]
  ?.split("## Networks")[0]
  ?.split(/\n\n(?=[A-Z])/)
  .map((part) => [...part.matchAll(/^\| `(\w+)`/gm)].map(([, name = ""]) => name));

test("the page of compose fields agrees with the code", () => {
  const [, supported = [], byCommand = [], ignored = [], unsupported = []] = tables ?? [];
  expect(supported).toEqual([...serviceFields].sort());
  expect(byCommand).toEqual(["env_file", "profiles"]);
  expect(ignored).toEqual([...withoutEffect]);
  expect(unsupported.filter((name) => [...serviceFields, ...withoutEffect].includes(name))).toEqual([]);
  for (const name of [...networkFields, ...volumeFields]) expect(page.split("## Networks")[1]).toContain(`\`${name}\``);
});
