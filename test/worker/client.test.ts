import { describe, expect, expectTypeOf, test } from "vitest";
import { createCloudClient, Refusal } from "../../core/client/index.ts";
import { app } from "../support/device.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { joinAgent, startRelay } from "./devices.ts";

/** The client, against the Worker in workerd. */

const relayed = startRelay();
const managed = startCloud();

describe("the administration through the client", () => {
  const cloud = () => createCloudClient({ baseUrl: managed.url(), key: adminSecret }).admin;

  test("makes, lists and deletes", async () => {
    const made = await cloud().createFleet({ body: { name: "boards", deviceType: "generic-amd64" } });
    expectTypeOf(made.name).toEqualTypeOf<string>();
    expect((await cloud().fleets()).map(({ name }) => name)).toEqual(["boards"]);
    await cloud().setFleetVariables({ params: { fleetId: made.id }, body: { variables: { MODE: "day" } } });
    expect(await cloud().fleetVariables({ params: { fleetId: made.id } })).toMatchObject([{ name: "MODE" }]);
    await cloud().deleteFleet({ params: { fleetId: made.id } });
    expect(await cloud().fleets()).toEqual([]);
  });

  test("says why it refuses", async () => {
    const nobody = createCloudClient({ baseUrl: managed.url(), key: "not a token" });
    await expect(nobody.admin.fleets()).rejects.toThrow(/^fleets was refused with 401: \S/);
    const uuid = "0".repeat(32);
    await expect(cloud().device({ params: { uuid } })).rejects.toBeInstanceOf(Refusal);
  });
});

test("changes of the cloud are followed", async () => {
  const cloud = createCloudClient({ baseUrl: managed.url(), key: adminSecret });
  const begin = new AbortController();
  const changes = cloud.follow({ after: 0, signal: begin.signal });
  const made = await cloud.admin.createFleet({ body: { name: "followed", deviceType: "generic-amd64" } });
  for await (const change of changes) {
    if (change.is !== "change" || change.kind !== "audit" || change.fleetId !== made.id) continue;
    expect(change.data).toMatchObject({ operation: "createFleet" });
    break;
  }
  begin.abort();
  await expect(cloud.follow({ signal: begin.signal }).next()).resolves.toEqual({ done: true, value: undefined });
});

describe("a device through the relay", () => {
  const cloud = () => createCloudClient({ baseUrl: relayed.url(), key: "the-secret-of-the-owner-in-tests" });

  test("answers as on its own address: reads, changes, parameters, refusals", async () => {
    const { uuid, agent } = await joinAgent(relayed);
    const device = cloud().device(uuid);
    expect(await device.ping()).toBe("OK");
    await device.setTargetState({ body: { local: { name: "d", config: {}, apps: { "1": app({ web: {} }) } } } });
    await agent.settled();
    const found = await device.containerId({ params: { service: "web" } });
    const [container] = (await agent.engine.look()).containers;
    expect(found).toMatchObject({ containerId: container?.id });
    agent.folders.lock(1, "web");
    const refused = await device.restart.reply({ body: { appId: 1 } });
    expect(refused).toMatchObject({ status: 423, body: { status: "failed" } });
    await expect(cloud().device("f".repeat(32)).ping()).rejects.toThrow(/^ping was refused with 404: /);
  });

  test("is followed across a deployment of the cloud, and no event is missing", async () => {
    const { uuid, agent, tunnel } = await joinAgent(relayed);
    const names = ["one", "two", "three", "four"];
    const begin = (n: number) =>
      agent.fetch(
        new Request("http://device/v2/local/target-state", {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({
            local: {
              name: "d",
              config: {},
              apps: { "1": app(Object.fromEntries(names.slice(0, n).map((one) => [one, {}]))) },
            },
          }),
        }),
      );
    const started: (string | undefined)[] = [];
    let cuts = 0;
    for await (const line of cloud()
      .device(uuid)
      .follow({ events: true, kinds: ["serviceStarted"] })) {
      if (line.is === "hello" && started.length === 0) await begin(1);
      if (line.is === "event") {
        started.push(line.service);
        if (started.length === names.length) break;
        if (started.length === 2) {
          await relayed.deploy();
          while (tunnel.state().is !== "connected") await new Promise((resolve) => setTimeout(resolve, 10));
        }
        await begin(started.length + 1);
      }
      if (line.is === "disconnected") cuts++;
    }
    expect(started).toEqual(names);
    expect(cuts).toBeGreaterThan(0);
  });
});
