import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { toNodeListener } from "fairlead/node";
import { createMemoryDevice } from "fairlead/testing";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import receiver from "./webhook/worker.ts";

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

test("status-light.ts is green, and red with the reason while something is wrong", async () => {
  const device = await createMemoryDevice({
    restartMs: 10,
    program: ({ service }) => (service === "bad" ? { exit: { code: 3, afterMs: 10 } } : {}),
  });
  onTestFinished(device.stop);
  const server = createServer(toNodeListener(device.fetch));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  const run = (serviceName: string) =>
    fetch(`${url}/v2/local/target-state`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        local: {
          ...{ name: "device", config: {} },
          apps: {
            1: {
              ...{ name: "shop", commit: serviceName, releaseId: 1 },
              services: { 1: { serviceName, imageId: 1, image: "web:1", environment: {}, labels: {} } },
            },
          },
        },
      }),
    });
  const child = spawn(process.execPath, ["--import", "tsx", join(here, "status-light.ts"), url], {
    cwd: join(here, ".."),
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let said = "";
  child.stdout.on("data", (bytes) => (said += String(bytes)));
  await expect.poll(() => said, { timeout: 30_000 }).toMatch(/^green$/m);
  await run("bad");
  await expect.poll(() => said, { timeout: 30_000 }).toMatch(/^red .*3/m);
  said = "";
  await run("good");
  await expect.poll(() => said, { timeout: 30_000 }).toMatch(/^green$/m);
}, 120_000);

test("webhook/worker.ts accepts what is signed, and nothing else", async () => {
  const secret = `whsec_${Buffer.from("a secret of thirty-two characters").toString("base64")}`;
  const body = JSON.stringify({ type: "device.offline", data: { uuid: "abc", data: { name: "kitchen" } } });
  const send = (sent: string, at = Math.floor(Date.now() / 1000)) => {
    const key = Buffer.from(secret.slice(6), "base64");
    const signature = createHmac("sha256", key).update(`msg_1.${at}.${body}`).digest("base64");
    const headers = {
      ...{ "webhook-id": "msg_1", "webhook-timestamp": String(at) },
      "webhook-signature": `v1,other v1,${signature}`,
    };
    return receiver.fetch(new Request("https://receiver.example/", { method: "POST", headers, body: sent }), {
      WEBHOOK_SECRET: secret,
    });
  };
  expect((await send(body)).status).toBe(204);
  expect((await send(body.replace("offline", "online"))).status).toBe(401);
  expect((await send(body, Math.floor(Date.now() / 1000) - 3600)).status).toBe(401);
  const bare = new Request("https://receiver.example/", { method: "POST", body });
  expect((await receiver.fetch(bare, { WEBHOOK_SECRET: secret })).status).toBe(401);
});
