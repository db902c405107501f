import { spawn } from "node:child_process";
import { setPriority } from "node:os";
import { join } from "node:path";
import { saySkipped } from "./support/global-setup.ts";

/**
 * `npm test`, after the checks: the tests that mostly wait for engines and machines run beside those that compute, and go first
 * where both want a core. With arguments, those of vitest, it is one run of vitest.
 */

const vitest = join(import.meta.dirname, "../node_modules/vitest/vitest.mjs");
const config = ["run", "--config", join(import.meta.dirname, "vitest.config.ts")];

function run(args: readonly string[], { niceness = 0, isHeld = false } = {}) {
  const child = spawn(process.execPath, [vitest, ...config, ...args], {
    stdio: ["ignore", isHeld ? "pipe" : "inherit", isHeld ? "pipe" : "inherit"],
    env: { ...process.env, FAIRLEAD_TEST_SKIPPED_SAID: "1" },
  });
  if (child.pid !== undefined) setPriority(child.pid, niceness);
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => output.push(text));
  const ended = new Promise<boolean>((resolve) => child.once("close", (code) => resolve(code === 0)));
  return { ended, output };
}

const waitingProjects = ["engine", "boards", "host"];
const given = process.argv.slice(2);

saySkipped();
let passed: boolean;
if (given.length > 0) passed = await run(given).ended;
else {
  const waiting = run(
    waitingProjects.flatMap((name) => ["--project", name]),
    { isHeld: true },
  );
  const computing = await run(
    waitingProjects.flatMap((name) => ["--project", `!${name}`]),
    { niceness: 5 },
  ).ended;
  const waited = await waiting.ended;
  process.stdout.write(waiting.output.join(""));
  passed = computing && waited;
}
saySkipped();
process.exitCode = passed ? 0 : 1;
