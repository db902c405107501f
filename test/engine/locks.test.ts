import { rm, stat } from "node:fs/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { makeImage, noDocker } from "../support/docker.ts";
import { agentOnEngine, docker, environmentOf, pause, target, touch } from "./on-the-engine.ts";

const image = "fairlead-locks:1";
const message = "Lockfile exists for { appId: 1, service: one }";
const wish = (value: string, more: { config?: object; force?: boolean } = {}) =>
  target({ one: { image, environment: { A: value } }, two: { image } }, more);

describe.skipIf(noDocker !== undefined).each(["updates.lock", "resin-updates.lock"])("a service's %s", (name) => {
  beforeAll(() => makeImage(docker, image));

  test("makes a restart fail with 423, unless it is forced or overridden", async () => {
    const agent = await agentOnEngine();
    await agent.accept(wish("1"));
    const before = await agent.settled();
    await touch(agent.shared("one", name));
    const restart = (service: string, force: boolean) =>
      agent.post("/v2/applications/1/restart-service", { serviceName: service, force });

    const refused = await restart("two", false);
    expect([refused.status, await refused.json()]).toEqual([423, { status: "failed", message }]);
    const all = await agent.post("/v2/applications/1/restart", {});
    expect([all.status, await all.json()]).toEqual([423, { status: "failed", message }]);
    expect(await agent.settled()).toEqual(before);

    expect((await restart("two", true)).status).toBe(200);
    const forced = await agent.settled();
    expect([forced["one"] === before["one"], forced["two"] === before["two"]]).toEqual([true, false]);
    await expect(stat(agent.shared("one", name))).rejects.toThrow("ENOENT");

    await agent.accept(wish("1", { config: { SUPERVISOR_OVERRIDE_LOCK: "1" } }));
    await agent.settled();
    await touch(agent.shared("one", name));
    expect((await restart("two", false)).status).toBe(200);
  });

  test("delays an update until the lock is released or the update is forced", async () => {
    const agent = await agentOnEngine();
    await agent.accept(wish("1"));
    const before = await agent.settled();
    await touch(agent.shared("one", name));

    await agent.accept(wish("2"));
    await pause(1500);
    expect(await agent.status()).toMatchObject({ appState: "applying" });
    expect((await environmentOf(before["one"]))["A"]).toBe("1");
    expect(await (await agent.get("/v1/device")).json()).toMatchObject({ update_pending: true, update_failed: true });
    await rm(agent.shared("one", name));
    const released = await agent.settled();
    expect((await environmentOf(released["one"]))["A"]).toBe("2");
    expect(released["two"]).toBe(before["two"]);

    await touch(agent.shared("one", name));
    await agent.accept(wish("3"));
    await pause(500);
    expect(await agent.status()).toMatchObject({ appState: "applying" });
    expect((await agent.post("/v1/update", { force: true })).status).toBe(204);
    expect((await environmentOf((await agent.settled())["one"]))["A"]).toBe("3");

    await touch(agent.shared("one", name));
    await agent.accept(wish("4", { force: true }));
    expect((await environmentOf((await agent.settled())["one"]))["A"]).toBe("4");
  });
});
