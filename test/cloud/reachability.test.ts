import { expect, onTestFinished, test } from "vitest";
import { part } from "./fleet.ts";
import { Simulated, uuid } from "./simulated.ts";

/** How soon a device is fully connected to its cloud after an outage. */

const web = "registry.example/v2/web";

async function running(): Promise<Simulated> {
  const world = new Simulated();
  onTestFinished(() => world.kill());
  world.cloud.addRelease({ id: 1, commit: "c1", services: { web: part(1, web) } });
  await world.boot();
  await world.until("it is registered", () => world.cloud.devices.has(uuid));
  await world.until("it runs", () => world.cloud.device(uuid).running === "c1");
  await world.clock.advance(60_000);
  return world;
}

/** What the device has to send from now on: a log line, a tag, an address. */
async function speak({ agent, clock }: Simulated): Promise<void> {
  const key = agent?.supervisor.keys.global() ?? "";
  const send = (method: string, path: string, body: object) =>
    agent?.fetch(
      new Request(`http://device${path}?apikey=${key}`, {
        method,
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      }),
    );
  agent?.supervisor.events.emit({ kind: "configRefused", reason: "said during the outage" });
  await send("PATCH", "/v2/device/tags", { room: "cellar" });
  // The report has the new key.
  await send("POST", "/v1/regenerate-api-key", {});
  await clock.advance(0);
}

const kinds = [
  "PATCH /device/v3/state",
  "PATCH /device/v3/tags",
  `POST /device/v2/${uuid}/log-stream`,
  `GET /device/v3/${uuid}/state`,
] as const;

test.each<[string, (world: Simulated, away: boolean) => void]>([
  ["does not answer", ({ cloud }, away) => cloud.setAway(away)],
  ["has lost its database and its keys", ({ cloud }, away) => void (cloud.database = away ? "down" : "up")],
])("everything arrives within 5 s of the first answer of a cloud that %s", async (_, setAway) => {
  for (const minutes of [1, 3, 20]) {
    const world = await running();
    setAway(world, true);
    world.agent?.supervisor.cloud?.update({ force: false });
    await speak(world);
    await world.clock.advance(minutes * 60_000);
    const asked = world.attempts.length;
    setAway(world, false);
    // Some part sends a request, however long the back-offs are.
    world.agent?.supervisor.cloud?.update({ force: false });
    await world.clock.advance(30_000);
    const after = world.attempts.slice(asked).filter(({ status }) => status !== undefined && status < 400);
    const first = after[0]?.at ?? NaN;
    for (const kind of kinds) {
      const answered = after.find(({ what }) => what === kind);
      expect({ minutes, kind, ms: (answered?.at ?? NaN) - first }).toEqual({ minutes, kind, ms: expect.any(Number) });
      expect((answered?.at ?? NaN) - first).toBeLessThanOrEqual(5000);
    }
    expect(world.cloud.device(uuid).tags).toEqual({ room: "cellar" });
    await world.kill();
  }
});

test("a request with Retry-After is not repeated earlier, whatever the cloud answers to other requests", async () => {
  const world = await running();
  const { cloud, clock, attempts } = world;
  cloud.answerNext(/log-stream$/, { status: 503, headers: { "retry-after": "120" } });
  await speak(world);
  await clock.advance(2000);
  const refused = attempts.findLast(({ what }) => what.endsWith("/log-stream"));
  expect(refused?.status).toBe(503);
  world.agent?.supervisor.cloud?.update({ force: false });
  const answered = () => attempts.filter(({ what, at }) => what.endsWith("/log-stream") && at > (refused?.at ?? 0));
  await world.until("it comes again", () => answered().length > 0);
  expect((answered()[0]?.at ?? 0) - (refused?.at ?? 0)).toBeGreaterThanOrEqual(120_000);
});

test("a failing endpoint is asked at most once more for each answer of the other endpoints", async () => {
  const world = await running();
  const { cloud, clock, attempts } = world;
  for (let n = 0; n < 200; n++) cloud.answerNext(/log-stream$/, { status: 503 });
  await speak(world);
  const before = attempts.length;
  await clock.advance(3_600_000);
  const asked = attempts.slice(before);
  const failed = asked.filter(({ what }) => what.endsWith("/log-stream"));
  const others = asked.filter(({ status }) => status !== undefined && status < 400);
  // Its own back-off: 5, 10, 20 … seconds, then every 5 to 7.5 minutes.
  expect(failed.length).toBeLessThanOrEqual(others.length + 20);
});
