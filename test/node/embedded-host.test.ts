import { readFile, stat, writeFile, mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { wait } from "../support/wait.ts";
import { service, settled, target } from "./on-the-device.ts";
import { startAgent, type RunningAgent } from "./program.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** The simulated host of the engine in memory. It answers the host's endpoints and does not change this machine. */

const path = "/v1/device/host-config";
const proxy = {
  type: "socks5",
  ip: "192.0.2.1",
  port: 1080,
  login: "me",
  password: "secret",
  noProxy: ["198.51.100.0/24"],
};

const hostConfig = async (agent: RunningAgent) => Object(await (await agent.get(path)).json()).network;

async function patch(agent: RunningAgent, network: object) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(agent.url + path, { method: "PATCH", headers, body: JSON.stringify({ network }) });
  return [answer.status, await answer.text()];
}

describe("the embedded host's name and proxy", () => {
  test("can be set and read, and survive a restart", async () => {
    const folder = await temporaryFolder();
    const agent = await startAgent(folder);
    const before = hostname();
    expect(await hostConfig(agent)).toEqual({ hostname: before });
    expect(await patch(agent, { hostname: "kitchen", proxy })).toEqual([200, "OK"]);
    expect(await hostConfig(agent)).toEqual({ hostname: "kitchen", proxy });
    agent.kill("SIGTERM");
    await agent.ended;

    const next = await startAgent(folder);
    expect(await hostConfig(next)).toEqual({ hostname: "kitchen", proxy });
    expect(await patch(next, { hostname: "", proxy: null })).toEqual([200, "OK"]);
    const { hostname: cleared, proxy: none } = await hostConfig(next);
    expect([cleared, none]).toEqual([expect.stringMatching(/^[0-9a-f]{7}$/), undefined]);
    expect(hostname()).toBe(before);
  });

  test("are validated like those of a real host", async () => {
    const agent = await startAgent(await temporaryFolder());
    for (const network of [{ hostname: "two words" }, { proxy: { ...proxy, type: "banana" } }, { proxy: { ip: "a" } }])
      expect(await patch(agent, network)).toEqual([400, expect.stringContaining("Could not parse host config input")]);
  });

  test("keep the password in a private file and out of the log", async () => {
    const folder = await temporaryFolder();
    const agent = await startAgent(folder);
    await patch(agent, { proxy });
    const file = join(folder, "state/embedded-host/system-proxy/redsocks.conf");
    expect(await readFile(file, "utf8")).toContain("secret");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(agent.stdout() + agent.stderr()).not.toContain("secret");
  });

  test("start with the name of the host whose root is given", async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, "etc"));
    await writeFile(join(folder, "etc/hostname"), "board\n");
    const agent = await startAgent(folder);
    expect(await hostConfig(agent)).toEqual({ hostname: "board" });
    await patch(agent, { hostname: "kitchen" });
    expect(await readFile(join(folder, "etc/hostname"), "utf8")).toBe("board\n");
  });
});

describe("the embedded host", () => {
  test.each([
    ["reboot", "it would reboot now"],
    ["shutdown", "it would be switched off now"],
  ])("answers %s like a machine, stops the services and starts them again", async (how, said) => {
    const agent = await startAgent(await temporaryFolder());
    await agent.post("/v2/local/target-state", target([service("one", 1)]));
    expect(await settled(agent)).toEqual(["one Running"]);
    const answer = await agent.post(`/v1/${how}`, {});
    expect([answer.status, await answer.json()]).toEqual([202, { Data: "OK", Error: "" }]);
    expect(agent.stdout() + agent.stderr()).toContain(`Embedded host: ${said}`);
    const states = async () => JSON.stringify(await (await agent.get("/v2/state/status")).json());
    await wait("the stop", async () => (await states()).includes('"status":"exited"'));
    await wait("the start", async () => (await states()).includes('"status":"Running"'));
  });

  test("blinks in the log", async () => {
    const agent = await startAgent(await temporaryFolder());
    expect((await agent.post("/v1/blink", {})).status).toBe(200);
    expect(agent.stdout() + agent.stderr()).toContain("Embedded host: a LED would blink now, for 15 seconds");
  });
});
