import { mkdir, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { makeImage, noDocker, sweep } from "../support/docker.ts";
import { agentOnEngine, docker, inspect, names, pause, target } from "./on-the-engine.ts";

/** Other users of the engine: the reference implementation ran there before, and a developer works on it meanwhile. */

const image = "fairlead-neighbours:1";

describe.skipIf(noDocker !== undefined)("a container of the reference implementation", () => {
  beforeAll(() => makeImage(docker, image));

  test("is taken over unchanged if it matches the target state", async () => {
    onTestFinished(() => sweep(docker));
    const root = await temporaryFolder();
    await mkdir(join(root, "etc"));
    await writeFile(join(root, "etc/os-release"), 'ID="balena-os"\nPRETTY_NAME="balenaOS 6.0.0"\n');
    const uuid = "0123456789abcdef0123456789abcdef";
    const config = join(root, "config.json");
    await writeFile(config, JSON.stringify({ uuid, deviceType: "raspberrypi4-64", deviceArch: "aarch64" }));
    const shared = join(root, "tmp/balena-supervisor/services/1/one");
    const adopted = "fairlead-adopted:1";
    const wish = target({
      one: { image: adopted, environment: { MODE: "quiet" }, labels: { "my.label": "mine" }, ports: ["38080:80"] },
    });

    // An empty target state would remove the container, so the target state is set before the agent sees it.
    const before = await agentOnEngine(["--config", config], root);
    await before.accept(wish);
    await expect.poll(() => before.said.join("\n"), { timeout: 60_000 }).toMatch(/Failed to download/);
    await expect.poll(async () => (await docker.listNetworks()).map(({ Name }) => Name)).toContain("1_default");
    await before.stop();
    await sweep(docker);
    await mkdir(shared, { recursive: true });
    await docker.getImage(image).tag({ repo: "fairlead-adopted", tag: "1" });
    onTestFinished(() =>
      docker
        .getImage(adopted)
        .remove()
        .then(() => {}),
    );

    const { Id: imageId } = await docker.getImage(image).inspect();
    const supervised = { "io.balena.supervised": "true", "io.balena.app-id": "1" };
    await docker.createNetwork({ Name: "1_default", Driver: "bridge", CheckDuplicate: true, Labels: supervised });
    const both = {
      APP_ID: "1",
      APP_UUID: "1",
      APP_NAME: "fleet",
      SERVICE_NAME: "one",
      DEVICE_UUID: uuid,
      DEVICE_TYPE: "raspberrypi4-64",
      DEVICE_ARCH: "aarch64",
      HOST_OS_VERSION: "balenaOS 6.0.0",
      APP_LOCK_PATH: "/tmp/balena/updates.lock",
      DEVICE_NAME_AT_INIT: "the name of years ago",
    };
    const container = await docker.createContainer({
      name: "one_1_1_c1",
      Image: imageId,
      Tty: true,
      Cmd: ["/bin/sh", "/run.sh"],
      Env: [
        "MODE=quiet",
        ...Object.entries(both).flatMap(([name, value]) => [`BALENA_${name}=${value}`, `RESIN_${name}=${value}`]),
        "BALENA=1",
        "RESIN=1",
        "USER=root",
        "BALENA_SERVICE_HANDOVER_COMPLETE_PATH=/tmp/balena/handover-complete",
        "RESIN_SERVICE_KILL_ME_PATH=/tmp/balena/handover-complete",
      ],
      Labels: {
        ...supervised,
        "io.balena.app-uuid": "1",
        "io.balena.service-id": "1",
        "io.balena.service-name": "one",
        "my.label": "mine",
      },
      StopSignal: "SIGTERM",
      StopTimeout: 10,
      Healthcheck: { Test: ["NONE"] },
      ExposedPorts: { "80/tcp": {} },
      HostConfig: {
        Binds: [`${shared}:/tmp/resin`, `${shared}:/tmp/balena`],
        PortBindings: { "80/tcp": [{ HostIp: "", HostPort: "38080" }] },
        RestartPolicy: { Name: "always", MaximumRetryCount: 0 },
        NetworkMode: "1_default",
        IpcMode: "shareable",
      },
      NetworkingConfig: { EndpointsConfig: { "1_default": { Aliases: ["one"] } } },
    });
    await container.start();
    const { State } = await container.inspect();

    const agent = await agentOnEngine(["--config", config], root);
    expect(await agent.settled()).toEqual({ one: container.id });
    await agent.accept(wish);
    expect(await agent.settled()).toEqual({ one: container.id });
    expect((await container.inspect()).State).toEqual(State);
    expect(await names()).toEqual(["one_1_1_c1"]);
  });
});

describe.skipIf(noDocker !== undefined)("a developer's live session", () => {
  const built = "fairlead-live:latest";

  test("is not disturbed while it uses the container, and gets a new container after it removed that", async () => {
    await makeImage(docker, built);
    const agent = await agentOnEngine();
    const wish = target({ one: { image: built } });
    await agent.accept(wish);
    const before = await agent.settled();
    const container = docker.getContainer(before["one"] ?? "");

    // Like a file sync.
    const exec = await container.exec({ Cmd: ["touch", "/tmp/synced"], AttachStdout: true });
    (await exec.start({})).resume();
    await container.kill();
    await pause(1000);
    expect((await container.inspect()).State.Running).toBe(false);
    await container.start();
    await pause(1000);
    expect(await agent.settled()).toEqual(before);
    const { State } = await container.inspect();
    expect(State.Running).toBe(true);

    const id = await makeImage(docker, built, undefined, ["ENV CHANGED=yes"]);
    await container.remove({ force: true });
    await agent.accept(wish);
    expect((await agent.status()).appState).toBe("applying");
    const after = await agent.settled();
    expect(after["one"]).not.toBe(before["one"]);
    expect((await inspect(after["one"])).Image).toBe(id);
    expect(await names()).toEqual(["one_1_1_c1"]);
  });
});

/** The engine's socket, with a record of all requests. */
async function wiretap(): Promise<{ readonly address: string; readonly calls: string[] }> {
  const socketPath = (process.env["DOCKER_HOST"] ?? "unix:///var/run/docker.sock").replace(/^unix:\/\//, "");
  const path = join(await temporaryFolder(), "docker.sock");
  const calls: string[] = [];
  const server = createServer((asked, response) => {
    calls.push(`${asked.method} ${(asked.url ?? "").replace(/\?.*/, "")}`);
    const passed = request({ socketPath, path: asked.url, method: asked.method, headers: asked.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
    });
    response.on("close", () => passed.destroy());
    passed.on("error", () => response.destroy());
    asked.pipe(passed);
  });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { address: `unix://${path}`, calls };
}

describe.skipIf(noDocker !== undefined)("a settled agent", () => {
  beforeAll(() => makeImage(docker, image));

  test("sends no requests to the engine by itself, and as few for twelve services as for three when it observes", async () => {
    const { address, calls } = await wiretap();
    const before = process.env["DOCKER_HOST"];
    onTestFinished(() => {
      if (before === undefined) delete process.env["DOCKER_HOST"];
      else process.env["DOCKER_HOST"] = before;
    });
    const agent = await agentOnEngine(["--docker-host", address]);
    const pass = async (services: number) => {
      const wish = target(Object.fromEntries(Array.from({ length: services }, (_, n) => [`s${n}`, { image }])));
      await agent.accept(wish);
      await agent.settled();
      // Wait for the last event about created containers.
      await pause(1000);
      await agent.settled();

      const from = calls.length;
      await pause(3000);
      for (const path of ["/v2/state/status", "/v1/device", "/v2/applications/state", "/v2/containerId"])
        expect((await agent.get(path)).status).toBe(200);
      expect(calls.slice(from)).toEqual([]);

      await agent.accept(wish);
      await agent.settled();
      await pause(300);
      return calls.slice(from);
    };
    const [three, twelve] = [await pass(3), await pass(12)];
    expect(three.length).toBeGreaterThan(0);
    expect(twelve.sort()).toEqual(three.sort());
  });
});
