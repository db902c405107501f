import { chmod, mkdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { environmentOf, service, settled, target } from "./on-the-device.ts";
import { startAgent } from "./program.ts";
import { get, rawClient } from "./raw-client.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { wait } from "../support/wait.ts";

/** The real program: start, end and blinking. */

describe("a start", () => {
  test("with a broken journal of events logs one sentence, and the agent goes on", async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, "state"));
    await writeFile(join(folder, "state", "embedded-events.sqlite"), "This is no database.".repeat(100));
    const agent = await startAgent(folder);
    await agent.post("/v2/local/target-state", target([service("one", 1)]));
    expect(await settled(agent)).toEqual(["one Running"]);
    await wait("the sentence", async () => agent.stderr() !== "");
    agent.kill("SIGTERM");
    const { code, stderr } = await agent.ended;
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(/^\S+Z error Events cannot be written down: file is not a database\n$/),
    ]);
  });

  test("logs its address, its engine, whether a key is needed, and a first request to try", async () => {
    const agent = await startAgent(await temporaryFolder());
    expect(agent.stdout()).toMatch(
      /^Fairlead answers on (http:\/\/127\.0\.0\.1:\d+)\n +engine +embedded, in memory: NOTHING REALLY RUNS\n +host +embedded, too: .* nothing real happens\n +key +none is needed: the device is in local mode\n +try +curl \1\/v2\/state\/status\n$/,
    );
    const ping = await agent.get("/ping");
    expect([ping.status, await ping.text()]).toEqual([200, "OK"]);
    expect((await agent.get("/v2/state/status")).status).toBe(200);
  });

  test("with a cloud in config.json logs that a key is needed, and requires it", async () => {
    const folder = await temporaryFolder();
    const config = join(folder, "config.json");
    await writeFile(config, JSON.stringify({ apiEndpoint: "https://api.example.com", uuid: "0".repeat(32) }));
    const agent = await startAgent(folder, { args: ["--config", config] });
    expect(agent.stdout()).toContain("needed; services get theirs as BALENA_SUPERVISOR_API_KEY");
    expect((await agent.get("/ping")).status).toBe(200);
    expect((await agent.get("/v2/state/status")).status).toBe(401);
  });

  test("with the engine `auto` and without Docker uses the engine in memory", async () => {
    const agent = await startAgent(await temporaryFolder(), {
      args: ["--engine", "auto", "--docker-host", "unix:///nonexistent.sock"],
    });
    expect(agent.stdout()).toContain("embedded, in memory");
  });

  test("keeps its state in the given folder, and creates the services' folders on the host", async () => {
    const folder = await temporaryFolder();
    const agent = await startAgent(folder);
    await agent.post("/v2/local/target-state", target([service("one", 1)]));
    await settled(agent);
    expect((await stat(join(folder, "state", "embedded.sqlite"))).isFile()).toBe(true);
    const shared = join(folder, "tmp/balena-supervisor/services/1/one");
    expect((await stat(shared)).mode & 0o7777).toBe(0o1777);
  });

  test("creates a service's folder again if it was removed from /tmp", async () => {
    const folder = await temporaryFolder();
    const agent = await startAgent(folder);
    await agent.post("/v2/local/target-state", target([service("one", 1)]));
    await settled(agent);
    await agent.post("/v2/applications/1/stop-service", { serviceName: "one" });
    await rm(join(folder, "tmp"), { recursive: true });
    expect((await agent.post("/v2/applications/1/start-service", { serviceName: "one" })).status).toBe(200);
    expect((await stat(join(folder, "tmp/balena-supervisor/services/1/one"))).mode & 0o7777).toBe(0o1777);
  });

  test("starts no service whose folder another user has created, logs why, and starts it once that folder is removed", async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, "tmp"));
    await chmod(join(folder, "tmp"), 0o1777);
    const planted = join(folder, "tmp/balena-supervisor");
    await symlink("/nonexistent", planted);
    const agent = await startAgent(folder);
    await agent.post("/v2/local/target-state", target([service("one", 1)]));
    await wait("the reason", async () =>
      agent
        .stderr()
        .includes(`Failed to install and start one: ${planted} is a symbolic link, but the agent expected a folder of`),
    );
    expect(await (await agent.get("/v2/state/status")).json()).toMatchObject({ containers: [] });
    await rm(planted);
    await agent.post("/v1/update", { force: true });
    expect(await settled(agent)).toEqual(["one Running"]);
  });

  test("with port 0 tells services the port number that the system chose", async () => {
    const agent = await startAgent(await temporaryFolder());
    const labels = { "io.balena.features.supervisor-api": "1" };
    await agent.post("/v2/local/target-state", target([service("one", 1, { labels })]));
    await settled(agent);
    const env = await environmentOf(agent);
    expect(env["BALENA_SUPERVISOR_PORT"]).toBe(new URL(agent.url).port);
  });
});

describe("an end", () => {
  test.each(["SIGTERM", "SIGINT"] as const)("by %s comes within a second, with code 0", async (signal) => {
    const agent = await startAgent(await temporaryFolder());
    const before = Date.now();
    agent.kill(signal);
    expect(await agent.ended).toMatchObject({ code: 0, stderr: "" });
    expect(Date.now() - before).toBeLessThan(1000);
  });

  test("does not wait for readers of the log or for downloads", async () => {
    const agent = await startAgent(await temporaryFolder());
    const reader = await rawClient(Number(new URL(agent.url).port), get("/v2/local/logs"));
    await reader.until("Streaming logs");
    await agent.post("/v2/local/target-state", target([service("one", 1)]));
    await reader.until("Downloading image");
    const before = Date.now();
    agent.kill("SIGTERM");
    expect(await agent.ended).toMatchObject({ code: 0, stderr: "" });
    expect(Date.now() - before).toBeLessThan(1000);
    await reader.all();
  });
});

describe("blinking", () => {
  async function seenIn(file: string, wanted: string): Promise<void> {
    for (const end = Date.now() + 3000; Date.now() < end;) {
      if ((await readFile(file, "utf8")) === wanted) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`${file} was never ${wanted}`);
  }

  test.each(["LED_FILE", "--led-file"])(
    "writes 1 and 0 to the file of %s and restores its previous value",
    async (how) => {
      const folder = await temporaryFolder();
      const file = join(folder, "brightness");
      await writeFile(file, "200\n");
      const agent = await startAgent(
        folder,
        how === "LED_FILE" ? { environment: { LED_FILE: file } } : { args: ["--led-file", file] },
      );
      expect((await agent.post("/v1/blink", {})).status).toBe(200);
      for (const wanted of ["1", "0", "1", "0"]) await seenIn(file, wanted);
      agent.kill("SIGTERM");
      expect(await agent.ended).toMatchObject({ code: 0, stderr: "" });
      expect((await readFile(file, "utf8")).trim()).toBe("200");
    },
  );

  test("of a missing LED is logged as an error, and the agent goes on", async () => {
    const folder = await temporaryFolder();
    const agent = await startAgent(folder, { args: ["--led-file", join(folder, "nothing")] });
    expect((await agent.post("/v1/blink", {})).status).toBe(200);
    expect((await agent.get("/ping")).status).toBe(200);
    agent.kill("SIGTERM");
    const { code, stderr } = await agent.ended;
    expect(code).toBe(0);
    expect(stderr).toMatch(/^\S+Z warn The LED does not blink: .*ENOENT/);
  });
});
