import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as z from "zod";
import { startAgent, startProgram, type Ended } from "../node/program.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { adminSecret, startCloud } from "./cloud.ts";

/** From nothing to a command on a device, with a user's commands. */
const cloud = startCloud();

interface Shell {
  readonly folder: string;
  readonly fairlead: (...args: readonly string[]) => Promise<Ended>;
  /** Returns the output of a command that must succeed. */
  readonly said: (...args: readonly string[]) => Promise<string>;
}

/** A user's home folder and the commands in it. */
async function shell(): Promise<Shell> {
  const folder = await temporaryFolder();
  const fairlead: Shell["fairlead"] = (...args) => startProgram(args, { XDG_CONFIG_HOME: folder }).ended;
  return {
    folder,
    fairlead,
    said: async (...args) => {
      const { code, stdout, stderr } = await fairlead(...args);
      if (code !== 0) throw new Error(`fairlead ${args.join(" ")} ended with ${code}: ${stderr}`);
      return stdout;
    },
  };
}

const json = <T>(shape: z.ZodType<T>, text: string): T => shape.parse(JSON.parse(text));
const Config = z.looseObject({ uuid: z.string(), apiEndpoint: z.string(), deviceApiKey: z.string() });

test("a user can initialize a cloud, create a fleet and a key, join a device and send it a command", async () => {
  const { folder, fairlead, said } = await shell();
  expect(await said("cloud", "init", cloud.url(), "--token", adminSecret)).toMatch(
    /^admin may read, write, see secrets, manage and open shells in all fleets of http/,
  );
  const kept = join(folder, "fairlead", "cloud.json");
  expect(statSync(kept).mode & 0o777).toBe(0o600);

  expect(await said("cloud", "fleet", "create", "cameras")).toMatch(
    /^Fleet cameras, for devices of type generic-amd64\. /,
  );
  const { key } = json(z.object({ key: z.string() }), await said("cloud", "fleet", "key", "cameras", "--json"));

  const config = join(folder, "config.json");
  writeFileSync(config, JSON.stringify({ deviceType: "raspberrypi4-64", wifiSsid: "kept" }));
  expect(await said("join", cloud.url(), "--key", key, "--config", config)).toMatch(/^Joined /);
  const written = json(Config, readFileSync(config, "utf8"));
  expect(written).toMatchObject({
    wifiSsid: "kept",
    apiEndpoint: cloud.url(),
    uuid: expect.stringMatching(/^[0-9a-f]{32}$/),
  });
  expect(statSync(config).mode & 0o777).toBe(0o600);

  const again = await fairlead("join", cloud.url(), "--key", key, "--config", config);
  expect([again.code, again.stderr]).toEqual([1, expect.stringMatching(/^This device has joined .* already/)]);
  const anew = await fairlead("join", cloud.url(), "--key", key, "--config", config, "--force");
  expect([anew.code, anew.stderr]).toEqual([
    1,
    expect.stringMatching(/^The cloud knows a device with this uuid already/),
  ]);

  const agent = await startAgent(folder, { args: ["--config", config] });
  await expect.poll(() => agent.stdout(), { timeout: 20_000 }).toMatch(/Connected to the cloud/);
  expect(await said("cloud", "devices", "--fleet", "cameras")).toMatch(new RegExp(`${written.uuid} +yes `));
  expect(await said("cloud", "call", written.uuid, "GET", "/ping")).toBe("OK\n");
  const name = written.uuid.slice(0, 7);
  expect(await said("status", "--device", name)).toMatch(/^device +\S+[^]*cloud +connected\n/);
  expect(await said("ps", "--device", written.uuid)).toMatch(/^No container/);
  const restarted = await fairlead("restart", "web", "--device", name);
  expect([restarted.code, restarted.stderr]).toEqual([2, 'There is no service "web", only: none\n']);
  const fleet = json(
    z.array(z.object({ statusCode: z.number() })).or(z.object({ api_port: z.number() })),
    await said("cloud", "call", "--fleet", "cameras", "GET", "/v1/device"),
  );
  expect(fleet).toMatchObject({ api_port: 0 + Number(new URL(agent.url).port) });

  const offline = await fairlead("cloud", "call", "f".repeat(32), "GET", "/ping");
  expect([offline.code, offline.stdout]).toEqual([1, '"No online device(s) found"\n']);
}, 120_000);

test("without a config.json, join writes one to the state folder and keeps the agent's uuid", async () => {
  const { folder, said } = await shell();
  const token = ["cloud", "init", cloud.url(), "--token", adminSecret];
  await said(...token);
  await said("cloud", "fleet", "create", "doors");
  const { key } = json(z.object({ key: z.string() }), await said("cloud", "fleet", "key", "doors", "--json"));
  const first = await startAgent(folder);
  await first.get("/v2/state/status");
  first.kill("SIGTERM");
  await first.ended;

  const state = join(folder, "state");
  const output = await said("join", cloud.url(), "--key", key, "--state-dir", state);
  const { uuid } = json(Config, readFileSync(join(state, "config.json"), "utf8"));
  expect(output).toContain(uuid);
  const agent = await startAgent(folder);
  await expect.poll(() => agent.stdout(), { timeout: 20_000 }).toMatch(/Connected to the cloud/);
}, 120_000);

test.each<[args: string[], message: RegExp, status?: number]>([
  [["cloud", "fleet"], /^Which cloud\? Run: fairlead cloud init/],
  [["cloud", "fly"], /^There is no command fairlead cloud fly/, 2],
  [["cloud", "init", "here"], /^Expected the cloud's URL, such as https:/, 2],
  [["cloud", "fleet", "rename", "x"], /^Expected: fairlead cloud fleet rename <fleet> <name>/, 2],
  [["cloud", "init", "http://127.0.0.1:9", "--token", "x"], /^http:\/\/127.0.0.1:9 cannot be reached: /],
  [["join"], /^Expected: fairlead join <url>, but got no argument/, 2],
  [["join", "http://127.0.0.1:9"], /^Expected --key/, 2],
])("%j is refused with a message", async (args, message, status = 1) => {
  const { fairlead } = await shell();
  const { code, stderr } = await fairlead(...args);
  expect([code, stderr]).toEqual([status, expect.stringMatching(message)]);
});

test("a wrong token and a wrong key are refused with a message", async () => {
  const { folder, fairlead } = await shell();
  const wrong = await fairlead("cloud", "init", cloud.url(), "--token", "wrong");
  expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringMatching(/^The cloud refuses \(401\): Expected /)]);
  const key = await fairlead("join", cloud.url(), "--key", "wrong", "--state-dir", folder);
  expect([key.code, key.stderr]).toEqual([1, expect.stringMatching(/does not know this key as a provisioning key/)]);
});
