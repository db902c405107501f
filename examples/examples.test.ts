import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { toNodeListener } from "fairlead/node";
import { createMemoryDevice } from "fairlead/testing";
import { createServer } from "node:http";

/** Each example is run as its first lines say. */

const here = import.meta.dirname;

/** Starts an example on the engine in memory; gives its address once it listens, and what ends it. */
async function start(file: string) {
  const folder = await mkdtemp(join(tmpdir(), "fairlead-"));
  const settings = {
    FAIRLEAD_ENGINE: "embedded",
    FAIRLEAD_STATE_DIR: join(folder, "state"),
    FAIRLEAD_HOST_ROOT: folder,
  };
  const child = spawn(process.execPath, ["--import", "tsx", join(here, file)], {
    cwd: join(here, ".."),
    env: { ...process.env, ...settings, PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
    await rm(folder, { recursive: true });
  });
  let said = "";
  for await (const bytes of child.stdout) if ((said += String(bytes)).includes("\n")) break;
  const end = () => (child.kill("SIGTERM"), ended);
  return { url: /http:\S+/.exec(said)?.[0] ?? said, end };
}

test.each(["node-http.ts", "express.ts"])(
  "%s answers as a device under /device, and keeps its own page",
  async (file) => {
    const { url, end } = await start(file);
    const get = async (path: string) => (await fetch(url + path)).text();
    expect(await get("/device/ping")).toBe("OK");
    expect(await get("/")).toBe("This is my own page.\n");
    const answer = await fetch(`${url}/device/v2/local/target-state`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ local: { name: "renamed", config: {}, apps: {} } }),
    });
    expect(await answer.json()).toEqual({ status: "success", message: "OK" });
    expect(await get("/device/v2/device/name")).toBe('{"status":"success","deviceName":"renamed"}');
    if (file === "express.ts") expect(await get("/containers")).toBe("[]");
    expect(await end()).toBe(0);
  },
);

test("express.ts ends with the reason when its port is taken", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = String(typeof address === "object" ? address?.port : "");
  const folder = await mkdtemp(join(tmpdir(), "fairlead-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const env = { ...process.env, FAIRLEAD_ENGINE: "embedded", FAIRLEAD_STATE_DIR: folder, FAIRLEAD_HOST_ROOT: folder };
  const run = promisify(execFile)(process.execPath, ["--import", "tsx", join(here, "express.ts")], {
    cwd: join(here, ".."),
    env: { ...env, PORT: port },
  });
  await expect(run).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`EADDRINUSE: address already in use 127.0.0.1:${port}`),
  });
});

test("curl.sh sets a target state, sees it reached, restarts a service, and follows the logs", async () => {
  const device = await createMemoryDevice({ program: ({ service }) => ({ lines: [`${service} is here`] }) });
  onTestFinished(device.stop);
  const server = createServer(toNodeListener(device.fetch));
  onTestFinished(() => server.closeAllConnections());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  const { stdout, stderr } = await promisify(execFile)("sh", [join(here, "curl.sh"), url]);
  expect(stderr).toBe("");
  expect(stdout).toMatch(/\nDone\. The logs go on at \S+\n$/);
  const [version, accepted, state, ...watched] = stdout.trim().split("\n");
  expect([version, accepted]).toEqual([
    '{"status":"success","version":"19.0.5"}',
    '{"status":"success","message":"OK"}',
  ]);
  expect(state).toMatch(/"web":\{"status":"Running".*"camera":\{"status":"Running"/);
  expect(watched).toContain("restart: OK");
  expect(watched).toContainEqual(expect.stringContaining('"message":"web is here"'));
});
