import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { freePort, makeImage, noDocker, sweep } from "../support/docker.ts";
import { docker, inspect, remote, target } from "./on-the-engine.ts";

const root = join(import.meta.dirname, "../..");
const run = promisify(execFile);
const name = "fairlead-image-test";
const image = "fairlead-in-container:1";

/** The command of the Dockerfile, with another name, state folder, port and socket of the engine. */
function documentedRun(folder: string, port: number): readonly string[] {
  const [command = ""] =
    /docker run (?:.*\\\n)*.* fairlead$/m.exec(readFileSync(join(root, "Dockerfile"), "utf8")) ?? [];
  const socket = (process.env["DOCKER_HOST"] ?? "unix:///var/run/docker.sock").replace("unix://", "");
  const settings = [`FAIRLEAD_STATE_DIR=/host${folder}`, `FAIRLEAD_PORT=${port}`, "FAIRLEAD_IPTABLES=no"];
  return command
    .replace(/\\\n# +/g, "")
    .replace("-v /var/run/docker.sock:", `-v ${socket}:`)
    .replace("--name fairlead", `--name ${name}`)
    .replace(/ fairlead$/, ` ${settings.map((one) => `-e ${one}`).join(" ")} ${name}`)
    .split(/\s+/)
    .slice(1);
}

describe.skipIf(noDocker !== undefined)("the image that packaging/image.sh makes without a network", () => {
  test("runs the agent as the Dockerfile says, which runs an application with a secret", async () => {
    const folder = mkdtempSync(join(tmpdir(), "fairlead-image-"));
    const dist = join(folder, "dist");
    onTestFinished(async () => {
      await run("docker", ["rm", "--force", name]).catch(() => undefined);
      await sweep(docker);
      await run("docker", ["rmi", name, `${name}-base`]).catch(() => undefined);
      rmSync(folder, { recursive: true });
    });
    await run(process.execPath, ["--import", "tsx", "packaging/build.ts", dist], { cwd: root });
    await run("sh", ["packaging/image.sh", name], { cwd: root, env: { ...process.env, DIST: dist } });
    // Node alone has 115 MB.
    const { Size } = await docker.getImage(name).inspect();
    expect(Size / 2 ** 20).toBeLessThan(160);

    await makeImage(docker, image, "cat /run/secrets/psk\ntrap 'exit 0' TERM\nwhile :; do sleep 1 & wait $!; done");
    const port = await freePort();
    await run("docker", documentedRun(folder, port));
    const agent = remote(`http://127.0.0.1:${port}`);
    await expect
      .poll(async () => (await agent.get("/ping").catch(() => undefined))?.status, { timeout: 60_000 })
      .toBe(200);

    await agent.accept(
      target({ web: { image, tty: false, secrets: ["psk"] } }, { secrets: { psk: { content: "hunter2\n" } } }),
    );
    const { web } = await agent.settled();
    expect((await inspect(web)).State.Running).toBe(true);
    const output = () => docker.getContainer(web ?? "").logs({ stdout: true });
    await expect.poll(async () => String(await output()), { timeout: 30_000 }).toContain("hunter2");
    await agent.accept(target({}));
    await agent.settled();
    await expect(inspect(web)).rejects.toThrow(/no such container/i);

    await docker.getContainer(name).stop({ t: 20 });
    expect((await inspect(name)).State.ExitCode).toBe(0);
    expect((await run("docker", ["logs", name])).stdout).not.toContain("hunter2");
  });
});
