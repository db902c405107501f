import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { makeImage, noDocker } from "../support/docker.ts";
import { agentOnEngine, docker, inspect, names, pause, target, touch, watch } from "./on-the-engine.ts";

const image = "fairlead-update:1";

const Plan = z.object({
  services: z.array(z.object({ service: z.string(), action: z.string() })),
  waitsFor: z.array(z.string()),
});

describe.skipIf(noDocker !== undefined)("an update", () => {
  beforeAll(() => makeImage(docker, image));

  test("replaces only changed containers, and with only a new commit renames them", async () => {
    const agent = await agentOnEngine();
    await agent.accept(target({ one: { image }, two: { image } }));
    const first = await agent.settled();

    await agent.accept(target({ one: { image, environment: { A: "1" } }, two: { image } }));
    const second = await agent.settled();
    expect(second["two"]).toBe(first["two"]);
    expect(second["one"]).not.toBe(first["one"]);
    expect((await inspect(second["one"])).Config.Env).toContain("A=1");

    const same = { one: { image, environment: { A: "1" } }, two: { image } };
    const { State: before } = await inspect(second["one"]);
    await agent.accept(target(same, { commit: "c2", releaseId: 2 }));
    expect(await agent.settled()).toEqual(second);
    expect(await names()).toEqual(["one_1_2_c2", "two_2_2_c2"]);
    expect((await inspect(second["one"])).State).toEqual(before);
  });

  test("does not replace a container for a start_interval that the engine leaves out", async () => {
    const agent = await agentOnEngine();
    const healthcheck = { test: ["CMD", "true"], interval: "1h", start_period: "10s", start_interval: "1s" };
    await agent.accept(target({ one: { image, healthcheck } }));
    const first = await agent.settled();
    const { ApiVersion } = await docker.version();
    const { Healthcheck } = (await inspect(first["one"])).Config;
    expect("StartInterval" in (Healthcheck ?? {})).toBe(Number(ApiVersion) >= 1.44);
    await agent.accept(target({ one: { image, healthcheck, labels: { "io.balena.update.monitor": "5s" } } }));
    expect(await agent.settled()).toEqual(first);
  });

  test("does what the plan for it says, and the plan does nothing", async () => {
    const rebuilt = "fairlead-planned:latest";
    await makeImage(docker, rebuilt, undefined, ["ENV BUILD=1"]);
    const agent = await agentOnEngine();
    const first = {
      same: { image },
      changed: { image },
      handed: {
        image,
        labels: { "io.balena.update.strategy": "hand-over", "io.balena.update.handover-timeout": "500" },
      },
      rebuilt: { image: rebuilt },
      gone: { image },
    };
    await agent.accept(target(first));
    const before = await agent.settled();
    await makeImage(docker, rebuilt, undefined, ["ENV BUILD=2"]);
    const { gone: _, ...kept } = first;
    const next = target(
      {
        ...kept,
        changed: { image, ports: ["127.0.0.1:18080:80"] },
        handed: { ...first.handed, environment: { A: "2" } },
        added: { image },
      },
      { commit: "c2" },
    );
    const answer = await agent.post("/v3/apps/1/plan", next);
    const { services, waitsFor } = Plan.parse(await answer.json());
    expect(await agent.settled()).toEqual(before);
    const actions = Object.fromEntries(services.map(({ service, action }) => [service, action]));
    expect([actions, waitsFor]).toEqual([
      { same: "keep", changed: "replace", handed: "handOver", rebuilt: "replace", added: "create", gone: "remove" },
      [],
    ]);
    await agent.accept(next);
    const after = await agent.settled();
    expect(Object.keys(after).sort()).toEqual(["added", "changed", "handed", "rebuilt", "same"]);
    for (const [service, id] of Object.entries(before))
      expect([service, after[service] === id]).toEqual([service, service === "same"]);
  });

  test("of a rebuilt tag happens when the same target state is posted again", async () => {
    const rebuilt = "fairlead-rebuilt:latest";
    await makeImage(docker, rebuilt, undefined, ["ENV BUILD=1"]);
    const agent = await agentOnEngine();
    const wish = target({ one: { image: rebuilt }, two: { image } });
    await agent.accept(wish);
    const first = await agent.settled();
    const id = await makeImage(docker, rebuilt, undefined, ["ENV BUILD=2"]);
    await pause(500);
    expect(await agent.settled()).toEqual(first);

    await agent.accept(wish);
    const second = await agent.settled();
    expect(second["two"]).toBe(first["two"]);
    expect((await inspect(second["one"])).Image).toBe(id);
  });

  const handOver = (environment: object, timeoutMs: number) =>
    target({
      one: {
        image,
        environment,
        labels: { "io.balena.update.strategy": "hand-over", "io.balena.update.handover-timeout": String(timeoutMs) },
      },
    });

  test("by hand-over keeps the old container until the new one signals that it has taken over", async () => {
    const agent = await agentOnEngine();
    await agent.accept(handOver({ A: "1" }, 60_000));
    const before = (await agent.settled())["one"];
    await agent.accept(handOver({ A: "2" }, 60_000));
    await expect.poll(names, { timeout: 60_000 }).toEqual(["old_one_1_1_c1", "one_1_1_c1"]);
    await expect.poll(async () => (await inspect("one_1_1_c1")).State.Running, { timeout: 60_000 }).toBe(true);
    await pause(1500);
    const old = await inspect(before);
    expect([old.Name, old.State.Running]).toEqual(["/old_one_1_1_c1", true]);
    expect((await agent.status()).appState).toBe("applying");

    await touch(agent.shared("one", "handover-complete"));
    const after = await agent.settled();
    expect(await names()).toEqual(["one_1_1_c1"]);
    expect(after["one"]).not.toBe(before);
  });

  test("by hand-over ends after the label's timeout", async () => {
    const agent = await agentOnEngine();
    await agent.accept(handOver({ A: "1" }, 1500));
    await agent.settled();
    const happened = await watch();
    await agent.accept(handOver({ A: "2" }, 1500));
    await agent.settled();
    expect(await names()).toEqual(["one_1_1_c1"]);
    const at = (what: string) => happened.find((one) => one.what === what)?.at ?? NaN;
    await expect.poll(() => at("destroy old_one_1_1_c1")).toBeGreaterThan(0);
    const tookMs = at("die old_one_1_1_c1") - at("start one_1_1_c1");
    expect(tookMs).toBeGreaterThanOrEqual(1450);
    expect(tookMs).toBeLessThan(4000);
  });
});

describe.skipIf(noDocker !== undefined)("a service that depends on another one", () => {
  beforeAll(() => makeImage(docker, image));

  test("starts when the other is healthy", async () => {
    const agent = await agentOnEngine();
    await agent.accept(
      target({
        web: { image, depends_on: { db: { condition: "service_healthy" } } },
        db: {
          image,
          healthcheck: { test: ["CMD", "test", "-e", "/tmp/balena/ready"], interval: "500ms", retries: 1000 },
        },
      }),
    );
    await expect.poll(names, { timeout: 60_000 }).toEqual(["db_2_1_c1"]);
    await pause(1500);
    expect(await names()).toEqual(["db_2_1_c1"]);
    await touch(agent.shared("db", "ready"));
    await agent.settled();
    expect(await names()).toEqual(["db_2_1_c1", "web_1_1_c1"]);
  });

  test("starts when the other has completed", async () => {
    const happened = await watch();
    const agent = await agentOnEngine();
    await agent.accept(
      target({
        app: { image, depends_on: { migrate: { condition: "service_completed_successfully" } } },
        migrate: { image, restart: "no", command: ["sh", "-c", "sleep 1"] },
      }),
    );
    await agent.settled();
    const order = happened.map(({ what }) => what).filter((what) => /^(start|die) /.test(what));
    expect(order).toEqual(["start migrate_2_1_c1", "die migrate_2_1_c1", "start app_1_1_c1"]);
  });
});
