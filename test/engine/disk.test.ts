import { isKeptImageName } from "../../core/model/image.ts";
import { spawn, spawnSync } from "node:child_process";
import { mkdir, rm, statfs, symlink } from "node:fs/promises";
import { createServer, request } from "node:http";
import { dirname, join } from "node:path";
import Docker from "dockerode";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { startAgent } from "../../runtimes/node/agent.ts";
import { readSettings } from "../../runtimes/node/settings.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { makeImage, noDocker, startRegistry } from "../support/docker.ts";
import { wait } from "../support/wait.ts";
import { docker, pause, remote, target } from "./on-the-engine.ts";

/** An engine whose images are on a disk of 500 MB, of which 200 MB stay in reserve. */

const megabyte = 1_000_000;
const size = 500 * megabyte;

const run = (program: string, ...args: readonly string[]) => {
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
};

/** A dockerd of its own, with a bridge of its own: without any, it would remove that of the other engine. */
async function smallEngine() {
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

const Problems = z.object({ problems: z.array(z.object({ kind: z.string(), message: z.string() })) });

/** An agent on this engine. The updates of a device without a cloud are checked, since its target state says so. */
async function agentOn({ socket, data }: { readonly socket: string; readonly data: string }) {
  const hostRoot = await temporaryFolder();
  // The host's folders are below its root.
  await mkdir(dirname(join(hostRoot, data)), { recursive: true });
  await symlink(data, join(hostRoot, data));
  const args = ["--port", "0", "--state-dir", join(hostRoot, "state"), "--host-root", hostRoot, "--iptables", "no"];
  const said: string[] = [];
  const say = (line: string) => void said.push(line);
  const settings = { ...readSettings(args, {}), dockerHost: `unix://${socket}` };
  const agent = await startAgent(settings, { info: say, warn: say, error: say });
  onTestFinished(() => agent.stop());
  const api = remote(agent.url);
  return {
    said,
    settled: api.settled,
    update: (image: string) =>
      api.accept(target({ one: { image, network_mode: "host" } }, { config: { SUPERVISOR_SAFE_UPDATES: "on" } })),
    problems: async () => {
      const { problems } = Problems.parse(await (await api.get("/v3/problems")).json());
      return problems.map(({ kind, message }) => `${kind}: ${message}`);
    },
  };
}

/** A registry behind a slow line, with an image of 60 MB that cannot be compressed, and how many bytes of it were sent. */
async function slowRegistry(bytesPerSecond: number) {
  const { host, push, stop } = await startRegistry();
  onTestFinished(() => stop());
  await push(docker, large, "large:1");
  const sent = { bytes: 0 };
  const server = createServer(({ url, method, headers }, response) => {
    request(`http://${host}${url ?? ""}`, { method, headers }, async (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      for await (const chunk of answer as AsyncIterable<Buffer>) {
        if (response.destroyed) return;
        sent.bytes += chunk.length;
        response.write(chunk);
        if (chunk.length > 10_000) await pause((1000 * chunk.length) / bytesPerSecond);
      }
      response.end();
    }).end();
  });
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return { sent, image: `127.0.0.1:${typeof address === "object" ? address?.port : ""}/large:1` };
}

const large = "fairlead-large:1";

describe.skipIf(noDocker !== undefined)("on a small disk", () => {
  beforeAll(async () => {
    const random = 'RUN ["/bin/busybox", "dd", "if=/dev/urandom", "of=/blob", "bs=1000000", "count=60"]';
    await makeImage(docker, large, undefined, [random]);
    return async () => void (await docker.getImage(large).remove({ force: true }));
  });

  test("a pull that would not fit is not begun, until there is space", async () => {
    const small = await smallEngine();
    const { sent, image } = await slowRegistry(50_000_000);
    const agent = await agentOn(small);
    await small.leave(400 * megabyte);
    await agent.update(image);
    await expect
      .poll(agent.problems, { timeout: 20_000 })
      .toEqual([
        expect.stringMatching(
          /^diskFull: The update waits for space on the disk: 21\d MB needed, \d+ MB free, 200 MB kept in reserve$/,
        ),
      ]);
    await pause(3_000);
    // A manifest and a configuration, and no layer.
    expect(sent.bytes).toBeLessThan(20_000);
    expect(await small.images()).toEqual([]);

    await small.cleanUp();
    await expect.poll(small.images, { timeout: 60_000, interval: 500 }).toEqual([image]);
    await agent.settled();
    expect(await agent.problems()).toEqual([]);
  });

  test("a pull during which the space is used up is ended, and goes on when there is space", async () => {
    const small = await smallEngine();
    const { sent, image } = await slowRegistry(4_000_000);
    const agent = await agentOn(small);
    await agent.update(image);
    await expect.poll(() => sent.bytes, { timeout: 30_000, interval: 50 }).toBeGreaterThan(4_000_000);
    await small.leave(100 * megabyte);
    await expect
      .poll(() => agent.said.join("\n"), { timeout: 20_000 })
      .toMatch(/too little space left: 1?\d\d MB free/);
    await pause(1_000);
    const before = sent.bytes;
    await pause(15_000);
    expect(sent.bytes).toBe(before);
    expect(await small.images()).toEqual([]);
    expect(await small.free()).toBeGreaterThan(50 * megabyte);

    await small.cleanUp();
    await expect.poll(small.images, { timeout: 100_000, interval: 500 }).toEqual([image]);
    await agent.settled();
    expect(await agent.problems()).toEqual([]);
  });
});
