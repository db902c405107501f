import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../node/temporary-folder.ts";

const root = join(import.meta.dirname, "../..");
const run = promisify(execFile);

test("every command that npm run demo prints works, and the demo leaves nothing behind", async () => {
  const folder = await temporaryFolder();
  const demo = spawn(process.execPath, ["--import", "tsx", "examples/demo.ts"], {
    cwd: root,
    env: { ...process.env, TMPDIR: folder },
    stdio: ["ignore", "pipe", "inherit"],
  });
  // Not SIGKILL, because that would leave its workerd running.
  onTestFinished(() => void demo.kill("SIGTERM"));
  const ended = once(demo, "exit");
  let said = "";
  demo.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  await expect.poll(() => said, { timeout: 60_000 }).toMatch(/Ctrl-C ends both/);

  const [exported = "", ...lines] = said
    .replaceAll("\\\n", "")
    .split("\n")
    .flatMap((line) => (/^ {2}(export|curl|npx) /.test(line) ? [line.trim()] : []));
  const answers: string[] = [];
  for (const line of lines) {
    const { stdout } = await run("bash", ["-c", `${exported}\n${line.replace("curl", "curl -sS")}`], { cwd: root });
    answers.push(stdout.trim());
  }
  expect(answers).toEqual([
    // The device may still be downloading.
    expect.stringMatching(/"supervisor_version":"19.0.5"/),
    "OK",
    expect.stringMatching(/ ONLINE .* yes /s),
    expect.stringMatching(/"serviceName":"web"/),
    expect.stringMatching(/"commit":"c1","status":"Idle"/),
  ]);

  demo.kill("SIGINT");
  expect(await ended).toEqual([0, null]);
  expect(readdirSync(folder).filter((name) => name.startsWith("fairlead-demo"))).toEqual([]);
}, 120_000);
