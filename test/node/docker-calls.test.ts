import { createServer, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { toNetworkSpec } from "../../core/compose/definitions.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { DockerEngine } from "../../runtimes/node/engine/docker-engine.ts";
import { parsedApp, specOf } from "../support/specs.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** The adapter's requests to an engine, and its handling of answers that no engine in CI gives. */

interface Call {
  readonly method: string;
  readonly url: string;
  readonly body: string;
}

/** Answers by the beginning of the path; every other request succeeds. */
async function engineThat(answers: Readonly<Record<string, string>> = {}) {
  const path = join(await temporaryFolder(), "docker.sock");
  const calls: Call[] = [];
  const all = { "/version": JSON.stringify({ Version: "29.9.9" }), ...answers };
  const server = createServer(async (request, response) => {
    const { method = "", url = "" } = request;
    calls.push({ method, url, body: await bodyOf(request) });
    const [, answer] = Object.entries(all).find(([start]) => url.startsWith(start)) ?? [];
    response.statusCode = url.endsWith("/create") || url.includes("/create?") ? 201 : 200;
    response.setHeader("content-type", "application/json");
    response.end(answer ?? JSON.stringify({ Id: "made", Name: "made" }));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const before = process.env["DOCKER_HOST"];
  process.env["DOCKER_HOST"] = `unix://${path}`;
  onTestFinished(() => {
    if (before === undefined) delete process.env["DOCKER_HOST"];
    else process.env["DOCKER_HOST"] = before;
    server.closeAllConnections();
    server.close();
  });
  return { engine: await DockerEngine.connect(systemClock), calls };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}

describe("no body is in a URL:", () => {
  const secret = "correct-horse";

  test.each<[string, string, (engine: DockerEngine) => Promise<unknown>]>([
    [
      "a container",
      "/containers/create?name=web_1_1_c",
      (engine) => engine.createContainer("web_1_1_c", specOf({ environment: { TOKEN: secret } })),
    ],
    [
      "a network",
      "/networks/create?",
      (engine) => {
        const { back } = parsedApp(1, {}, { networks: { back: { driver_opts: { token: secret } } } }).networks;
        return back ? engine.createNetwork("1_back", toNetworkSpec(back, 1)) : Promise.reject(new Error("no network"));
      },
    ],
    [
      "a volume",
      "/volumes/create?",
      (engine) => engine.createVolume("1_data", { driver: "local", driverOptions: { o: secret }, labels: {} }),
    ],
  ])("%s", async (_, url, act) => {
    const { engine, calls } = await engineThat();
    await act(engine);
    const made = calls.filter(({ url }) => url.includes("/create"));
    expect(made.map((call) => call.url)).toEqual([url]);
    expect(made[0]?.body).toContain(secret);
    expect(calls.map((call) => call.url).join()).not.toContain(secret);
  });
});

test("a pull has failed if only errorDetail reports an error", async () => {
  const lines = [{ status: "Pulling from x", id: "1" }, { errorDetail: { message: "no space left on device" } }];
  const { engine } = await engineThat({ "/images/create": lines.map((line) => JSON.stringify(line)).join("\n") });
  await expect(engine.pull({ name: "x:1" }, () => {}, new AbortController().signal)).rejects.toThrow(
    "no space left on device",
  );
});

describe("images and volumes are stored", () => {
  const info = (more: object) => ({ "/info": JSON.stringify({ DockerRootDir: "/srv/docker", ...more }) });
  const snapshotter = { DriverStatus: [["driver-type", "io.containerd.snapshotter.v1"]] };

  test.each<[string, object, string[]]>([
    ["in the engine's folder", { DriverStatus: [["Backing Filesystem", "extfs"]] }, ["/srv/docker"]],
    [
      "in containerd's, too, when that keeps the images",
      { ...snapshotter, Containerd: { Address: "/run/containerd/containerd.sock" } },
      ["/srv/docker", "/var/lib/containerd"],
    ],
    ["there, too, when the engine does not say which containerd", snapshotter, ["/srv/docker", "/var/lib/containerd"]],
    [
      "not there when the containerd is the engine's own",
      { ...snapshotter, Containerd: { Address: "/var/run/docker/containerd/containerd.sock" } },
      ["/srv/docker"],
    ],
  ])("%s", async (_, more, folders) => {
    const { engine, calls } = await engineThat(info(more));
    expect(calls.map(({ url }) => url)).toEqual(["/version"]);
    expect(await engine.storage()).toEqual(folders);
    expect(await engine.storage()).toEqual(folders);
    expect(calls.map(({ url }) => url)).toEqual(["/version", "/info"]);
  });
});
