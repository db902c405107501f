import { isKeptImageName } from "../../core/model/image.ts";
import { spawn, spawnSync } from "node:child_process";
import { mkdir, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import Docker from "dockerode";
import { onTestFinished } from "vitest";
import { startAgent } from "../../runtimes/node/agent.ts";
import { readSettings } from "../../runtimes/node/settings.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { wait } from "../support/wait.ts";
import { remote, showFolder } from "./on-the-engine.ts";

/** An engine whose images are on a disk of 500 MB, of which 200 MB stay in reserve. */

export const megabyte = 1_000_000;
const size = 500 * megabyte;

const run = (program: string, ...args: readonly string[]) => {
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
};

/** A dockerd of its own, with a bridge of its own: without any, it would remove that of the other engine. */
export async function smallEngine() {
  const folder = await temporaryFolder();
  const data = join(folder, "data");
  await mkdir(data);
  run("mount", "-t", "tmpfs", "-o", `size=${size}`, "tmpfs", data);
  const exec = join(folder, "exec");
  onTestFinished(() => {
    run("umount", "--lazy", data);
    // The engine leaves its namespace mounted.
    spawnSync("umount", [join(exec, "netns/default")]);
  });
  const bridge = "fairlead-small";
  run("ip", "link", "add", bridge, "type", "bridge");
  onTestFinished(() => run("ip", "link", "delete", bridge));
  run("ip", "address", "add", "198.18.255.1/24", "dev", bridge);
  const socket = join(folder, "docker.sock");
  const flags = ["--data-root", data, "--exec-root", exec, "--pidfile", join(folder, "pid")];
  const child = spawn("dockerd", [...flags, "--host", `unix://${socket}`, "--bridge", bridge, "--iptables=false"], {
    stdio: "ignore",
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  onTestFinished(async () => {
    child.kill();
    await ended;
  });
  const engine = new Docker({ socketPath: socket });
  await wait("the small engine", () =>
    engine.ping().then(
      () => true,
      () => false,
    ),
  );
  const filler = join(data, "filler");
  return {
    engine,
    socket,
    data,
    images: async () =>
      (await engine.listImages()).flatMap(({ RepoTags }) => RepoTags ?? []).filter((name) => !isKeptImageName(name)),
    free: async () => {
      const { bsize, bavail } = await statfs(data);
      return bavail * bsize;
    },
    /** Somebody writes a large file, so that this is left. */
    leave: async (bytes: number) => {
      await rm(filler, { force: true });
      const { bsize, bavail } = await statfs(data);
      run("fallocate", "--length", String(bavail * bsize - bytes), filler);
    },
    cleanUp: () => rm(filler, { force: true }),
  };
}

/** An agent on such an engine. */
export async function agentOn({ socket, data }: { readonly socket: string; readonly data: string }) {
  const hostRoot = await temporaryFolder();
  await showFolder(hostRoot, data);
  const args = ["--port", "0", "--state-dir", join(hostRoot, "state"), "--host-root", hostRoot, "--iptables", "no"];
  const said: string[] = [];
  const say = (line: string) => void said.push(line);
  const settings = { ...readSettings(args, {}), dockerHost: `unix://${socket}` };
  const agent = await startAgent(settings, { info: say, warn: say, error: say });
  onTestFinished(() => agent.stop());
  return { ...remote(agent.url), said };
}
