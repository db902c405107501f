import { expect, test } from "vitest";
import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import { createMemoryDevice, MemoryEventJournal } from "../../core/embedded/index.ts";
import { systemClock } from "../../core/ports/clock.ts";
import type { EngineState } from "../../core/ports/engine.ts";
import { Chance, SimClock } from "../simulation/clock.ts";

const target = (image: string, environment: Record<string, string>, commit: string) => ({
  local: {
    name: "device",
    config: {},
    apps: {
      1: {
        name: "shop",
        commit,
        releaseId: 1,
        services: {
          1: { imageId: 1, serviceName: "web", image, running: true, environment, labels: {}, appId: 1, serviceId: 1 },
        },
        volumes: {},
        networks: {},
      },
    },
  },
});

test("events of a replacement name the differences and the reason, and never a value", async () => {
  const eventJournal = new MemoryEventJournal();
  const device = await createMemoryDevice({ clock: systemClock, ports: { eventJournal } });
  const apply = async (body: object) => {
    const request = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const answer = await device.fetch(new Request("http://device/v2/local/target-state", request), undefined);
    expect(answer.status).toBe(200);
    await device.settled();
  };
  await apply(target("web:1", { TOKEN: "first-secret" }, "one"));
  await apply(target("web:1", { TOKEN: "second-secret" }, "one"));
  await apply(target("web:2", { TOKEN: "second-secret" }, "two"));
  await device.stop();
  const { entries } = await eventJournal.read(0, 1000);
  expect(JSON.stringify(entries)).not.toContain("-secret");
  const about = entries
    .filter(({ kind }) => kind === "serviceKilling" || kind === "serviceInstalling")
    .map(({ kind, appId, service, commit, cause, fields }) => ({ kind, appId, service, commit, cause, fields }));
  const web = { appId: 1, service: "web" };
  expect(about).toMatchObject([
    { ...web, kind: "serviceInstalling", commit: "one", cause: "release" },
    { ...web, kind: "serviceKilling", commit: "one", cause: "variables", fields: ["environment.TOKEN"] },
    { ...web, kind: "serviceInstalling", commit: "one", cause: "variables" },
    { ...web, kind: "serviceKilling", commit: "one", cause: "release", fields: ["image"] },
    { ...web, kind: "serviceInstalling", commit: "two", cause: "release" },
  ]);
  expect(device.log.lines).toEqual(entries.map(({ level, text }) => (level === "info" ? text : `${level}: ${text}`)));
});

/** An engine that does not answer while it is down. */
class RestartedEngine extends EmbeddedEngine {
  isDown = false;

  override async look(): Promise<EngineState> {
    if (this.isDown) throw new Error("connection refused");
    return super.look();
  }
}

test("an engine that does not answer is logged once, and once that it answers again", async () => {
  const clock = new SimClock(new Chance(1));
  const engine = new RestartedEngine({ clock });
  const device = await createMemoryDevice({ clock, ports: { engine } });
  await clock.advance(60_000);
  expect(device.log.lines).toEqual([]);
  engine.isDown = true;
  await device.fetch(new Request("http://device/v1/update", { method: "POST" }), undefined);
  await clock.advance(600_000);
  expect(device.log.lines).toEqual(["error: The engine cannot be looked at: connection refused"]);
  engine.isDown = false;
  await clock.advance(3_600_000);
  expect(device.log.lines.slice(1)).toEqual(["The engine answers again"]);
  await device.stop();
});
