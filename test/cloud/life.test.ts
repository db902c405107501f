import { afterAll, expect, test } from "vitest";
import type { Container } from "../../core/model/container.ts";
import type { Device, Release } from "../support/fake-cloud.ts";
import { part } from "./fleet.ts";
import { Simulated, uuid } from "./simulated.ts";

/**
 * A managed device from registration to deletion, on a cloud that enforces the rules of the public one. Each step checks
 * what the cloud then shows to users. The device has no tunnel and learns everything by polling: a step takes up to
 * ten minutes and the whole test a few hours of simulated time.
 */

const image = (name: string): string => `registry.example/v2/${name}`;

/** A service with a volume, so that a test can see lost data. */
const web = (name: string, more: object = {}) =>
  part(1, image(name), { composition: { volumes: ["data:/data"], ...more } });

const world = new Simulated({ identity: { osVersion: "Debian GNU/Linux 12 (bookworm)", developmentMode: true } });
const { cloud, clock, engine } = world;
const other = cloud.addFleet("fleet-two", "df50433f6835487d874dc01737de0738");

let device: Device;
const heading = (name = "weathered-stream", fleet = "fleet-one") => `${name} of ${fleet}, online, 12.0.0`;

/** What the cloud shows while all services of a release run. */
const running = (commit: string, ...services: readonly string[]) => ({
  release: commit,
  update: "done",
  services: Object.fromEntries(services.map((name) => [`${commit} ${name}`, "Running"])),
});

/** Waits until the cloud shows this to users. */
async function shows(what: string, expected: object, limitMs = 1_400_000): Promise<void> {
  const from = clock.now();
  const isSo = () => {
    const shown = Object.entries(cloud.shown(device));
    return Object.entries(expected).every(([name, value]) =>
      shown.some(([one, now]) => one === name && JSON.stringify(now) === JSON.stringify(value)),
    );
  };
  await world
    .until(what, isSo, limitMs)
    .catch(() => expect({ what, ...cloud.shown(device) }).toMatchObject({ what, ...expected }));
  story.push(`${((from - start) / 60_000).toFixed(1)} min: ${what} (${Math.round((clock.now() - from) / 1000)} s)`);
}
const start = clock.now();
const story: string[] = [];

const containers = async (): Promise<Record<string, Container>> =>
  Object.fromEntries((await engine.look()).containers.map((one) => [one.service, one]));

/** The agent's lines in the cloud's log since then: the first words, with `!` for errors. */
const logSince = (at: number): string[] =>
  device.logs
    .slice(at)
    .filter(({ isSystem }) => isSystem)
    .map(({ message, isStdErr }) => `${isStdErr ? "! " : ""}${message}`);

const ask = async (method: string, path: string, body?: object): Promise<unknown> => {
  const key = world.agent?.supervisor.keys.global() ?? "";
  const answer = await world.agent?.fetch(
    new Request(`http://device${path}?apikey=${key}`, {
      method,
      ...(body && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
    }),
  );
  const text = (await answer?.text()) ?? "";
  return text.startsWith("{") ? JSON.parse(text) : text;
};

const release = (id: number, services: Release["services"], fleet = cloud.fleet): Release =>
  cloud.addRelease({ id, commit: `c${id}`, services, volumes: { data: {} }, fleet });

afterAll(async () => {
  await world.kill();
  if (process.env["FAIRLEAD_STORY"]) process.stdout.write(`${story.join("\n")}\n`);
});

test("a stock Debian registers and runs the first release", async () => {
  release(1, { web: web("web1"), db: part(2, image("db")) });
  await world.boot();
  await world.until("it is registered", () => cloud.devices.has(uuid));
  device = cloud.device(uuid);
  expect(device.fields).toMatchObject({ os_version: "12.0.0", os_variant: "dev", supervisor_version: "19.0.5" });
  await shows("the first release runs", { device: heading(), ...running("c1", "db", "web") });
  await clock.advance(5_000);
  expect(logSince(0)).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^Downloading image '.*web1/),
      expect.stringMatching(/^Started service 'db /),
    ]),
  );
  expect(await ask("GET", "/v1/device")).toMatchObject({ os_version: "Debian GNU/Linux 12 (bookworm)", commit: "c1" });
});

test("variables of the fleet and of the device reach its services", async () => {
  const made = (await containers())["web"]?.id;
  cloud.fleet.environment = { PLACE: "fleet", COLOUR: "blue" };
  device.environment = { PLACE: "device" };
  await world.until("the variables are there", async () => {
    const found = (await containers())["web"];
    return found?.state === "running" && found.id !== made && found.spec.environment["PLACE"] === "device";
  });
  expect((await containers())["db"]?.spec.environment).toMatchObject({ PLACE: "device", COLOUR: "blue" });
  await shows("the services run with their variables", {
    update: "done",
    services: { "c1 db": "Running", "c1 web": "Running" },
  });
});

test("a second release adds a service and renames another", async () => {
  release(2, { web: web("web2"), database: part(2, image("db")), cron: part(3, image("cron")) });
  await shows("the second release is on its way", {
    release: "c1",
    update: "downloading",
    services: {
      "c1 web": "Running",
      "c2 cron": "Downloading 0%",
      "c2 database": "Running",
      "c2 web": "Downloading 0%",
    },
  });
  await shows("the second release runs", running("c2", "cron", "database", "web"));
});

test("the device is pinned to the first release and back, repeatedly", async () => {
  for (const n of [1, 2, 3]) {
    device.pinnedOn = cloud.releases.get("c1");
    await ask("POST", "/v1/update", {});
    await shows(`pinned on the first release, ${n}`, running("c1", "db", "web"));
    device.pinnedOn = undefined;
    await ask("POST", "/v1/update", {});
    await shows(`and back, ${n}`, running("c2", "cron", "database", "web"));
  }
});

test("a name and a tag are set, and the answer to a request that took effect is lost", async () => {
  device.name = "kitchen";
  cloud.answerNext(/^\/device\/v3\/tags$/, "lost");
  await ask("PATCH", "/v2/device/tags", { floor: "2" });
  await world.until("the name is known", async () =>
    JSON.stringify(await ask("GET", "/v2/device/name")).includes("kitchen"),
  );
  await world.until("the tag is there", () => device.tags["floor"] === "2");
});

test("an update waits for a lock while a report's answer is lost, and is then forced", async () => {
  world.folders.lock(cloud.fleet.id, "web");
  cloud.answerNext(/^\/device\/v3\/state$/, "lost");
  const lines = device.logs.length;
  release(3, { web: web("web3"), database: part(2, image("db")) });
  await shows("an update waits for a lock", {
    release: "c2",
    update: "downloaded",
    services: {
      "c2 cron": "Running",
      "c2 web": "Running",
      "c3 database": "Running",
      "c3 web": "Downloaded",
    },
  });
  await clock.advance(60_000);
  expect(logSince(lines)).toContainEqual(expect.stringMatching(/^! Lockfile exists/));
  await ask("POST", "/v1/update", { force: true });
  await shows("forced, the third release runs", running("c3", "database", "web"));
});

test("local mode is turned on and off", async () => {
  device.config = { RESIN_SUPERVISOR_LOCAL_MODE: "1" };
  await world.until("nothing runs in local mode", async () => Object.keys(await containers()).length === 0);
  expect(cloud.shown(device)).toMatchObject({
    release: "c3",
    services: { "c3 database": "Running", "c3 web": "Running" },
  });
  device.config = {};
  await world.until("it runs again", async () => (await containers())["web"]?.state === "running");
  await shows("after local mode, the services run", running("c3", "database", "web"));
});

test("a release has an image that the registry does not have", async () => {
  const lines = device.logs.length;
  cloud.lostImages.add(image("web4"));
  release(4, { web: web("web4"), database: part(2, image("db")) });
  await shows("an image cannot be fetched", {
    release: "c3",
    update: "downloading",
    services: { "c3 web": "Running", "c4 database": "Running", "c4 web": "Downloading 0%" },
  });
  const reports = device.reports.length;
  await clock.advance(300_000);
  expect(device.reports.length - reports).toBeLessThanOrEqual(1);
  const said = logSince(lines).filter((line) => line.includes("web4"));
  const isFailure = (line: string) => line.startsWith("! Failed to download image");
  expect(said.length).toBeGreaterThan(10);
  expect(said.filter(isFailure).length * 2).toBeLessThanOrEqual(said.length);
  expect(said.filter((line) => !isFailure(line) && !line.startsWith("Downloading image"))).toEqual([]);
  cloud.lostImages.clear();
  await shows("once it is there, the fourth release runs", running("c4", "database", "web"));
});

test("a release has a contract that the device does not meet", async () => {
  const lines = device.logs.length;
  const contract = { type: "sw.container", requires: [{ type: "sw.supervisor", version: ">=99.0.0" }] };
  release(5, { web: { ...web("web5"), contract }, database: part(2, image("db")) });
  await shows("a release is rejected", {
    release: "c4",
    update: "rejected",
    services: { "c4 web": "Running", "c5 database": "Running" },
  });
  await clock.advance(5_000);
  expect(logSince(lines)).toContainEqual(expect.stringMatching(/^! Target state: the release is rejected: web: /));
  expect(await ask("GET", "/v1/device")).toMatchObject({ commit: "c4", update_pending: false });
});

test("the cloud is away for three minutes of an update, in the last minute only its database", async () => {
  release(6, { web: web("web6"), database: part(2, image("db")) });
  await shows("the sixth release is on its way", { update: "downloading" });
  cloud.setAway(true);
  const busy = (await containers())["web"]?.id ?? "";
  for (let n = 0; n < 200; n++) engine.write(busy, `line ${n}`);
  await clock.advance(150_000);
  cloud.setAway(false);
  cloud.database = "down";
  await clock.advance(30_000);
  expect((await containers())["web"]?.name).toMatch(/_c6$/);
  cloud.database = "up";
  const back = world.attempts.length;
  await shows("after the outage, the sixth release runs", running("c6", "database", "web"));
  const answered = world.attempts.slice(back).filter(({ status }) => status !== undefined && status < 400);
  const report = answered.find(({ what }) => what === "PATCH /device/v3/state");
  expect((report?.at ?? NaN) - (answered[0]?.at ?? NaN)).toBeLessThanOrEqual(5_000);
  await clock.advance(30_000);
  const written = device.logs.filter(({ message }) => message.startsWith("line ")).map(({ message }) => message);
  expect(written).toEqual(Array.from({ length: 200 }, (_, n) => `line ${n}`));
  expect(device.logs.filter(({ message }) => message.includes("Suppressed"))).toEqual([]);
});

test("the agent is killed during an update", async () => {
  release(7, { web: web("web7"), database: part(2, image("db")) });
  await shows("the seventh release is on its way", { update: "downloading" });
  await world.kill();
  await clock.advance(60_000);
  await world.boot();
  await shows("after kill -9, the seventh release runs", {
    device: heading("kitchen"),
    ...running("c7", "database", "web"),
  });
  expect(world.attempts.filter(({ what, status }) => what === "POST /device/register" && status === 201)).toHaveLength(
    1,
  );
});

test("the device moves to another fleet", async () => {
  const lines = device.logs.length;
  release(8, { camera: part(9, image("camera")) }, other);
  cloud.move(device, other);
  await shows("in another fleet, its release runs", {
    device: heading("kitchen", "fleet-two"),
    ...running("c8", "camera"),
  });
  const volumes = async () => (await engine.look()).volumes.map(({ name }) => name);
  expect(await volumes()).toContain(`${cloud.fleet.id}_data`);
  await clock.advance(5_000);
  expect(logSince(lines)).toContainEqual(
    expect.stringMatching(/^! This device has left application fleet-one \(1\)\. .* these volumes are removed: data$/),
  );
  await world.until("its volumes are gone", async () => !(await volumes()).includes(`${cloud.fleet.id}_data`));
  await clock.advance(5_000);
  expect(logSince(lines).findLast((line) => line.includes("volume"))).toBe("Removing volume 'data'");
});

test("a deleted device goes on and logs advice", async () => {
  cloud.devices.delete(uuid);
  await world.until("it is said", () => world.log.lines.some((line) => line.includes("does not know this device")));
  expect(world.log.lines.findLast((line) => line.includes("does not know this device"))).toMatch(
    /fairlead join .* --force/,
  );
  await clock.advance(3_600_000);
  expect(await containers()).toMatchObject({ camera: { state: "running" } });
});
