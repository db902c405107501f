import { execFile } from "node:child_process";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { makeImage, noDocker } from "../support/docker.ts";
import { docker, pause, programOnEngine } from "./on-the-engine.ts";

/** The story of docs/updates.md, typed as it is written, on a real engine. */

const root = join(import.meta.dirname, "../..");
const story = /^## The story of one device\n([^]*?)^## /m.exec(
  await readFile(join(root, "docs/updates.md"), "utf8"),
)?.[1];

interface Typed {
  readonly command: string;
  /** A line of "…" stands for any lines, and "…" in a line for any text. */
  readonly output: string;
}

const typed: readonly Typed[] = [...(story ?? "").matchAll(/^```console\n([^]*?)^```$/gm)].flatMap(([, block = ""]) =>
  block
    .split(/^\$ /m)
    .slice(1)
    .map((one) => {
      const [command = "", ...output] = one.trimEnd().split("\n");
      return { command, output: output.join("\n") };
    }),
);

const escaped = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

function patternOf(output: string): RegExp {
  if (output === "") return /^$/;
  const lines = output
    .split("\n")
    .map((line) => (line === "…" ? "(?:.*\n)*" : `${line.split("…").map(escaped).join(".*")}\n`));
  return new RegExp(`^${lines.join("")}$`);
}

/** Commands that change nothing: a reader repeats them until they show what the page shows. */
const isQuery = (command: string) => /^(fairlead (update )?status|fairlead history|curl)/.test(command);

describe.skipIf(noDocker !== undefined)("docs/updates.md", () => {
  beforeAll(() => makeImage(docker, "busybox:1"));

  test("tells a story that happens as it is told", { timeout: 400_000 }, async () => {
    const device = await programOnEngine();
    await device.start();
    const folder = await temporaryFolder();
    const program = join(folder, "fairlead");
    const node = `${process.execPath} --import ${join(root, "node_modules/tsx/dist/loader.mjs")}`;
    await writeFile(program, `#!/bin/sh\nexec ${node} ${join(root, "runtimes/cli/cli.ts")} "$@"\n`);
    await chmod(program, 0o755);
    const { port } = new URL(device.url);
    const env = {
      ...{ PATH: `${folder}:${process.env["PATH"]}`, HOME: folder, FAIRLEAD_PORT: port },
      ...{ FAIRLEAD_STATE_DIR: join(device.folder, "state"), FAIRLEAD_HOST_ROOT: device.folder },
    };
    const type = async (command: string): Promise<string> => {
      const line = command.replaceAll(":48484", `:${port}`);
      const ended = await promisify(execFile)("sh", ["-c", `{ ${line}; } 2>&1`], { cwd: folder, env }).catch(
        (error: { readonly stdout?: string }) => ({ stdout: `${error.stdout}it has failed\n` }),
      );
      return ended.stdout.replaceAll(/ +$/gm, "").replace(/([^\n])$/, "$1\n");
    };
    expect(typed.length).toBeGreaterThan(25);
    for (const { command, output } of typed) {
      const file = /^cat (\S+\.yml)$/.exec(command)?.[1];
      if (file !== undefined) {
        await writeFile(join(folder, file), `${output}\n`);
        continue;
      }
      let printed = await type(command);
      for (const since = performance.now(); performance.now() - since < 100_000 && isQuery(command);) {
        if (patternOf(output).test(printed)) break;
        await pause(300);
        printed = await type(command);
      }
      expect(printed, command).toMatch(patternOf(output));
    }
  });
});
