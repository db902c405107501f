import { expect, describe, test } from "vitest";
import { environmentOf, service, settled, target } from "./on-the-device.ts";
import { startAgent, type RunningAgent } from "./program.ts";
import { get, rawClient } from "./raw-client.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** The real program, ended in different ways and started again. */

describe("after a restart, the agent", () => {
  test("has the accepted target state", async () => {
    const folder = await temporaryFolder();
    const first = await startAgent(folder);
    expect((await first.post("/v2/local/target-state", target([service("one", 1)], "cellar"))).status).toBe(200);
    const before: unknown = await (await first.get("/v2/local/target-state")).json();
    expect(before).toMatchObject({ state: { local: { name: "cellar" } } });
    first.kill("SIGTERM");
    await first.ended;
    const second = await startAgent(folder);
    expect(await (await second.get("/v2/local/target-state")).json()).toEqual(before);
    expect(await settled(second)).toEqual(["one Running"]);
  });

  test("has it even if it was killed right after it accepted it", async () => {
    const folder = await temporaryFolder();
    const first = await startAgent(folder);
    expect((await first.post("/v2/local/target-state", target([service("one", 1)], "cellar"))).status).toBe(200);
    first.kill("SIGKILL");
    expect((await first.ended).signal).toBe("SIGKILL");
    const second = await startAgent(folder);
    expect(await (await second.get("/v2/local/target-state")).json()).toMatchObject({
      state: { local: { name: "cellar", apps: { "1": { commit: "c1" } } } },
    });
  });

  test("keeps the uuid that it generated", async () => {
    const folder = await temporaryFolder();
    const deviceUuid = async (agent: RunningAgent) => {
      await agent.post("/v2/local/target-state", target([service("one", 1)]));
      await settled(agent);
      const env = await environmentOf(agent);
      return env["BALENA_DEVICE_UUID"];
    };
    const first = await startAgent(folder);
    const before = await deviceUuid(first);
    expect(before).toMatch(/^[0-9a-f]{32}$/);
    first.kill("SIGKILL");
    await first.ended;
    expect(await deviceUuid(await startAgent(folder))).toBe(before);
  });

  test("completes the update in which it was killed", async () => {
    const folder = await temporaryFolder();
    const first = await startAgent(folder);
    await first.post("/v2/local/target-state", target([service("one", 1)]));
    expect(await settled(first)).toEqual(["one Running"]);
    const log = await rawClient(Number(new URL(first.url).port), get("/v2/local/logs"));
    await log.until("Streaming logs");
    await first.post("/v2/local/target-state", target([service("one", 1, { image: "one:2" }), service("two", 2)]));
    await log.until("Downloading image 'two:1'");
    first.kill("SIGKILL");
    expect((await first.ended).signal).toBe("SIGKILL");

    const second = await startAgent(folder);
    expect(await settled(second)).toEqual(["one Running", "two Running"]);
    expect(await (await second.get("/v2/applications/state")).json()).toMatchObject({
      fleet: { updateStatus: "done", services: { one: { image: "one:2" }, two: { image: "two:1" } } },
    });
  });
});
