import { join } from "node:path";
import { build } from "esbuild";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ["runtimes/cli/cli.ts"],
  bundle: true,
  write: false,
  splitting: true,
  outdir: "dist",
  format: "esm",
  platform: "node",
  packages: "external",
  metafile: true,
});

/** The files and packages that an import of this file loads at once. */
function loadedWith(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const { path, kind } of metafile.inputs[file]?.imports ?? [])
    if (kind === "import-statement") loadedWith(path, seen);
  return seen;
}

test.each([
  [
    "cli.ts",
    [
      "runtimes/cli/agent",
      "runtimes/cli/cloud/",
      "runtimes/cli/join",
      "core/embedded/",
      "core/supervisor",
      "yaml",
      "zod",
    ],
  ],
  [
    "agent.ts",
    ["runtimes/cli/cloud/", "runtimes/cli/join", "runtimes/cli/doctor", "core/embedded/", "yaml", "dockerode"],
  ],
  ["doctor.ts", ["runtimes/node/agent", "runtimes/cli/cloud/", "core/embedded/", "core/supervisor", "dockerode"]],
  ["join.ts", ["runtimes/node/agent", "core/embedded/", "core/supervisor", "dockerode"]],
  ["cloud/fleet.ts", ["runtimes/node/agent", "runtimes/node/store/", "core/embedded/", "core/supervisor", "dockerode"]],
])("%s loads no unneeded files and packages", (file, unneeded) => {
  const loaded = [...loadedWith(`runtimes/cli/${file}`)];
  expect(loaded.filter((one) => unneeded.some((name) => one.startsWith(name)))).toEqual([]);
  expect(loaded.length).toBeGreaterThan(1);
});
