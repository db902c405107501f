import { describe, expect, test } from "vitest";
import * as z from "zod";
import { MemoryEventJournal } from "../../core/embedded/ports.ts";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { cloudApp, managedDevice } from "./managed.ts";

/** What happened to an application, and why. */

const History = z.object({
  history: z.array(
    z.looseObject({
      what: z.string(),
      service: z.string().optional(),
      by: z.string().optional(),
      release: z.string().optional(),
      why: z.string(),
      differences: z.array(z.string()),
    }),
  ),
});

async function historyOf(device: TestDevice, query = "", headers: Record<string, string> = {}) {
  return History.parse((await device.get(`/v3/apps/1/history${query}`, headers)).json).history;
}
const lines = async (device: TestDevice, query?: string) =>
  (await historyOf(device, query)).map(({ what, service, by, release }) =>
    [what, service, by, release].filter((part) => part !== undefined).join(" "),
  );

describe("GET /v3/apps/:appId/history", () => {
  test("says which containers were created, replaced and removed, by what and why", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {}, db: {} }) });
    await device.run({ "1": app({ web: {}, db: { environment: { PASSWORD: "correct horse" } } }) });
    await device.run({ "1": app({ web: { image: "web:2", user: "app" } }, { commit: "c2" }) });
    // Services of one round are replaced at the same time.
    expect((await lines(device)).sort()).toEqual([
      "created db release c1",
      "created web release c1",
      "removed db release c1",
      "replaced db variables c1",
      "replaced web release c2",
    ]);
    const all = await historyOf(device);
    expect(all.find(({ what, service }) => what === "replaced" && service === "web")).toMatchObject({
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      why: expect.stringMatching(/^image: .*; user: "" → "app"$/),
      differences: ["image", "user"],
    });
    expect(all.find(({ what, service }) => what === "replaced" && service === "db")).toMatchObject({
      why: "environment.PASSWORD is new",
      differences: ["environment.PASSWORD"],
    });
    expect(JSON.stringify(all)).not.toContain("correct horse");
    expect(await lines(device, "?limit=1")).toHaveLength(1);
  });

  test("says what people did, and which locks they have overridden", async () => {
    const device = await testDevice();
    await device.run({ "1": app({ web: {} }) });
    await device.post("/v2/applications/1/stop-service", { serviceName: "web" });
    await device.post("/v2/applications/1/start-service", { serviceName: "web" });
    device.folders.lock(1, "web");
    await device.post("/v3/locks", { appId: 1, service: "web", reason: "firmware upload", ttl: 60 });
    await device.post("/v1/restart", { appId: 1 });
    await device.post("/v1/restart", { appId: 1, force: true });
    await device.post("/v1/purge", { appId: 1 });
    expect(await lines(device)).toEqual([
      "replaced web request c1",
      "purged request",
      "replaced web request c1",
      "lockOverridden web force",
      "lockOverridden web force",
      "started web request c1",
      "stopped web request c1",
      "created web release c1",
    ]);
    expect((await historyOf(device)).filter(({ by }) => by === "force")).toMatchObject([
      { why: "firmware upload" },
      { why: "The update lock of service 'web' was overridden by force" },
    ]);
  });

  test("survives a restart of the agent", async () => {
    const eventJournal = new MemoryEventJournal();
    const first = await testDevice({ ports: { eventJournal } });
    await first.run({ "1": app({ web: {} }) });
    await first.stop();
    expect(await lines(await testDevice({ ports: { eventJournal } }))).toEqual(["created web release c1"]);
  });

  test("is only that of the key's application", async () => {
    const device = await managedDevice();
    await device.runCloud(
      { aaaa: cloudApp(1, "first", { web: {} }), bbbb: cloudApp(2, "second", { db: {} }) },
      { SUPERVISOR_API_SCOPE: "application" },
    );
    const [web, db] = [await device.keyOf(1, "web"), await device.keyOf(2, "db")];
    expect((await historyOf(device, "", web)).map(({ what, service }) => [what, service])).toEqual([
      ["updateCommitted", undefined],
      ["created", "web"],
    ]);
    expect((await device.get("/v3/apps/1/history", db)).status).toBe(401);
  });

  test.each(["0", "-1", "many", "1001"])("limit=%s is refused", async (limit) => {
    const device = await testDevice();
    expect(await device.get(`/v3/apps/1/history?limit=${limit}`)).toMatchObject({
      status: 400,
      json: { detail: expect.stringMatching(/^limit: expected/) },
    });
  });
});
