import { expect, test } from "vitest";
import * as z from "zod";
import type { Container } from "../../core/model/container.ts";
import { isHandingOver, volumeName } from "../../core/model/names.ts";
import { previewUpdate } from "../../core/reconcile/plan-preview.ts";
import { Chance, SimClock } from "../simulation/clock.ts";
import { anyWish, secret, toLocalBody, type Wish } from "../simulation/wishes.ts";
import { testDevice, type TestDevice } from "../support/device.ts";
import { app, device, image, inVain, network, running, strategy, target, volume } from "./literals.ts";

/** The preview of an update says what the update then does. */

const servicesOf = (...of: Parameters<typeof previewUpdate>) =>
  previewUpdate(...of).services.map(({ service, action, why }) => `${action} ${service}: ${why}`);

test("a service without a difference is kept, one with a difference replaced, others are created and removed", () => {
  const current = device([running("web", "web:1"), running("db", "db:1"), running("old", "old:1")], {
    images: ["new:1"],
  });
  const wanted = app({ web: "web:1", db: { image: "db:1", ports: ["80:80"], environment: { A: "b" } }, new: "new:1" });
  const { services } = previewUpdate(1, wanted, current);
  expect(services).toMatchObject([
    { service: "web", action: "keep", why: "nothing differs", differences: [] },
    {
      ...{ service: "db", action: "replace" },
      differences: [{ field: "ports", from: "[]", to: expect.stringContaining("80") }, { field: "environment.A" }],
    },
    { service: "new", action: "create", why: "it does not exist yet" },
    { service: "old", action: "remove", why: "no longer in the target state" },
  ]);
  expect(services[1]?.differences[1]).toEqual({ field: "environment.A" });
});

test("a service whose image is missing is replaced, with the fields that differ as far as they are known", () => {
  const current = device([running("web", "web:1"), running("db", "db:1")]);
  const wanted = app({ web: { image: "web:2", user: "app" }, db: { image: "db:2", ...strategy("hand-over") } });
  expect(previewUpdate(1, wanted, current).services).toEqual([
    {
      ...{ service: "web", action: "replace", download: "web:2" },
      why: 'image: "web:1" → "web:2"; user: "" → "app"',
      differences: [
        { field: "image", from: '"web:1"', to: '"web:2"' },
        { field: "user", from: '""', to: '"app"' },
      ],
    },
    expect.objectContaining({ service: "db", action: "handOver", download: "db:2" }),
  ]);
});

test("a service follows the network, the volume or the service that it uses", () => {
  const fields = { networks: ["back"] };
  const defined = { networks: { back: {} } };
  const current = device(
    [
      running("web", "web:1", fields, defined),
      running("vpn", "vpn:1"),
      running("in", "in:1", { network_mode: "container:vpn" }, {}),
    ],
    { networks: [network("default"), network("back")], images: ["vpn:2"] },
  );
  const services = {
    web: { image: "web:1", ...fields },
    vpn: "vpn:2",
    in: { image: "in:1", network_mode: "service:vpn" },
  };
  const changed = app(services, { networks: { back: { driver_opts: { mtu: 1400 } } } });
  expect(servicesOf(1, changed, current)).toEqual([
    expect.stringMatching(/^replace web: network 1_back goes \(driver_opts\.mtu is new\)$/),
    'replace vpn: image: "vpn:1" → "vpn:2"',
    "replace in: it uses a namespace of vpn, which is replaced",
  ]);
  expect(previewUpdate(1, changed, current).networks).toMatchObject([
    { name: "default", action: "keep" },
    { name: "back", action: "replace", differences: [{ field: "driver_opts.mtu" }] },
  ]);
});

test("volumes are created and kept, and never removed", () => {
  const current = device([], { volumes: [volume("data"), volume("old"), volume("other")], images: ["web:1"] });
  const wanted = app({ web: "web:1" }, { volumes: { data: { labels: { v: "2" } }, other: {}, new: {} } });
  expect(previewUpdate(1, wanted, current).volumes).toEqual([
    {
      ...{ name: "data", action: "keep", differences: [{ field: "labels.v" }] },
      why: "its definition differs, but it may hold data: to apply the definition, purge the application",
    },
    { name: "other", action: "keep", why: "nothing differs", differences: [] },
    { name: "new", action: "create", why: "it does not exist yet", differences: [] },
  ]);
});

test("a container whose own image is not known has another image, and other fields are not compared", () => {
  const current = { ...device([running("web", "web:1")]), imageConfigs: new Map() };
  expect(previewUpdate(1, app({ web: { image: "web:2", user: "app" } }), current).services).toMatchObject([
    { action: "replace", differences: [{ field: "image", from: '"web:1"', to: '"web:2"' }] },
  ]);
});

test("a service that is only stopped is kept", () => {
  const preview = previewUpdate(1, app({ web: { image: "web:1", running: false } }), device([running("web", "web:1")]));
  expect(preview).toMatchObject({
    services: [{ action: "keep", why: "it is stopped: the target state says `running: false`" }],
    stops: true,
  });
});

test("a service that kills first takes others with it before the images are here", () => {
  const current = device([
    running("vpn", "vpn:1"),
    running("in", "in:1", { network_mode: "container:vpn" }),
    running("web", "web:1"),
  ]);
  const wanted = app({
    vpn: { image: "vpn:2", ...strategy("kill-then-download") },
    in: { image: "in:1", network_mode: "service:vpn" },
    web: "web:2",
  });
  expect(servicesOf(1, wanted, current)).toEqual([
    "replace vpn: image: vpn:2 will be downloaded",
    "replace in: it uses a namespace of vpn, which is replaced",
    'replace web: image: "web:1" → "web:2"',
  ]);
});

test("a volume that shows a part of the host, and must not any more, is replaced", () => {
  const bound = { driver_opts: { type: "none", o: "bind", device: "/etc" } };
  const current = device([running("web", "web:1")], { volumes: [volume("data", bound)] });
  expect(previewUpdate(1, app({ web: "web:1" }, { volumes: { data: {} } }), current).volumes).toMatchObject([
    { name: "data", action: "replace" },
  ]);
});

test("a replacement that was in vain will be tried again, after a wait", () => {
  const wanted = app({ web: { image: "web:1", user: "app" } });
  const current = device([running("web", "web:1")]);
  expect(previewUpdate(1, wanted, inVain(current, target([wanted])))).toMatchObject({
    services: [{ action: "replace" }],
    waitsFor: [expect.stringMatching(/^The update must wait for another try to kill web \(user: /)],
  });
});

test("of a rejected release, nothing is applied", () => {
  const current = device([running("web", "web:1")], { images: ["web:2", image("db:1")] });
  const preview = previewUpdate(1, app({ web: "web:2", db: "db:1" }, { rejected: "web: no GPU" }), current);
  expect(preview).toMatchObject({
    services: [{ service: "web", action: "keep" }],
    waitsFor: ["The release is rejected: web: no GPU"],
  });
});

test("an application that has left the target state loses its containers and networks", () => {
  const current = device([running("web", "web:1")], { volumes: [volume("data")] });
  expect(previewUpdate(1, undefined, current)).toMatchObject({
    services: [{ service: "web", action: "remove" }],
    networks: [{ name: "default", action: "remove" }],
    volumes: [],
    stops: true,
  });
});

const Row = z.object({ action: z.string() });
const Plan = z.object({
  services: z.array(Row.extend({ service: z.string() })),
  networks: z.array(Row.extend({ name: z.string() })),
  volumes: z.array(Row.extend({ name: z.string() })),
});

/** What happened to the services, networks and volumes of an application between two states of the engine. */
function changes(appId: number, before: State, after: State, handedOver: ReadonlySet<string>) {
  const compare = (one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>) =>
    [...new Set([...one.keys(), ...other.keys()])].map((name) => {
      const [was, is] = [one.get(name), other.get(name)];
      if (was === undefined) return `create ${name}`;
      if (is === undefined) return `remove ${name}`;
      return was === is ? `keep ${name}` : handedOver.has(was) ? `handOver ${name}` : `replace ${name}`;
    });
  const services = ({ containers }: State) =>
    new Map(containers.filter((one) => one.appId === appId && !isHandingOver(one)).map((one) => [one.service, one.id]));
  const networks = (state: State) =>
    new Map(
      state.networks
        .filter(({ name }) => name.startsWith(`${appId}_`))
        .map(({ name, id }) => [name.replace(`${appId}_`, ""), id]),
    );
  const volumes = (state: State) =>
    new Map(
      state.volumes
        .filter(({ name }) => name.startsWith(volumeName(appId, "")))
        .map(({ name }) => [name.replace(volumeName(appId, ""), ""), name]),
    );
  return {
    services: compare(services(before), services(after)).sort(),
    networks: compare(networks(before), networks(after)).sort(),
    volumes: compare(volumes(before), volumes(after)).sort(),
  };
}

const withConfig = (body: object, config: object): object => {
  const { local } = Object(body);
  return { local: { ...local, config } };
};

/** Some services of each application, and perhaps its networks and volumes, are those of another release. */
function partlyNew(before: Wish, chance: Chance): Wish {
  const others = anyWish(chance).apps;
  return {
    commit: `c${chance.below(4)}`,
    apps: before.apps.map((one) => {
      const other = others.find(({ appId }) => appId === one.appId) ?? one;
      const { networks, volumes } = chance.happens(0.3) ? other : one;
      const services = one.services.map((service) =>
        chance.happens(0.3) ? (other.services.find(({ name }) => name === service.name) ?? service) : service,
      );
      return { ...one, networks, volumes, services };
    }),
  };
}

type State = Awaited<ReturnType<TestDevice["engine"]["look"]>>;

const hour = 3_600_000;

test(
  "on a device in memory, updates between any target states do what was previewed",
  { timeout: 300_000 },
  async () => {
    const counts: Record<string, number> = {};
    let safe = 0;
    for (let seed = 1; seed <= 100; seed++) {
      const chance = new Chance(seed);
      const clock = new SimClock(chance);
      const program = ({ service }: Pick<Container, "service">) =>
        service === "job" ? { exit: { code: 0, afterMs: 500 } } : {};
      const world = await testDevice({ clock, program });
      const during = async <T>(promise: Promise<T>): Promise<T> => {
        let ended = false;
        const end = () => void (ended = true);
        promise.then(end, end);
        while (!ended) await clock.advance(10);
        return promise;
      };
      // Every other device goes back if a release fails. What it does then was not planned.
      const isSafe = seed % 2 === 0;
      const toBody = (wish: Wish) => withConfig(toLocalBody(wish), isSafe ? { SUPERVISOR_SAFE_UPDATES: "on" } : {});
      const hasReached = async (appId: number) =>
        !isSafe || Object((await during(world.get(`/v3/apps/${appId}/update`))).json).state !== "rejected";
      const set = async (wish: Wish) => {
        const { status } = await during(world.post("/v2/local/target-state", toBody(wish)));
        await clock.advance(hour);
        return status;
      };
      let wish = anyWish(chance);
      await set(wish);
      for (let n = 0; n < 3; n++) {
        wish = chance.happens(0.5) ? anyWish(chance) : partlyNew(wish, chance);
        const before = await world.engine.look();
        const plans = new Map<number, unknown>();
        for (const appId of [1, 2]) {
          const answer = await during(world.post(`/v3/apps/${appId}/plan`, toBody(wish)));
          if (answer.status === 200) plans.set(appId, answer.json);
          expect(answer.text).not.toContain(secret);
        }
        expect(await world.engine.look()).toEqual(before);
        const first = await world.supervisor.events.read(0, 1000);
        const isSet = (await set(wish)) === 200;
        expect(isSet || plans.size === 0).toBe(true);
        const after = await world.engine.look();
        const { entries } = await world.supervisor.events.read(first.entries.at(-1)?.number ?? 0, 1000);
        for (const [appId, json] of plans) {
          if (!(await hasReached(appId))) continue;
          if (isSafe) safe++;
          const plan = Plan.parse(json);
          const asked = wish.apps.find((one) => one.appId === appId);
          const handed = new Set(
            entries.flatMap(({ kind, appId: of, service }) =>
              kind === "serviceHandingOver" && of === appId
                ? before.containers.flatMap((one) => (one.appId === appId && one.service === service ? [one.id] : []))
                : [],
            ),
          );
          const happened = changes(appId, before, after, handed);
          // A service that waits for another one, which the target stops or which never becomes healthy, has no container yet.
          const missing = (asked?.services ?? []).map(({ name }) => name).filter((name) => !has(after, appId, name));
          const isMissing = (line: string) => missing.includes(line.split(" ")[1] ?? "");
          const said = plan.services.map(({ action, service }) => `${action} ${service}`).sort();
          const story = `seed ${seed}, update ${n}, application ${appId}`;
          expect(
            happened.services.filter((line) => !isMissing(line)),
            story,
          ).toEqual(said.filter((line) => !isMissing(line)));
          for (const line of said.filter(isMissing)) expect(line, story).toMatch(/^(create|replace|handOver) /);
          expect(happened.networks, story).toEqual(plan.networks.map(({ action, name }) => `${action} ${name}`).sort());
          // An update removes no volume, and a plan names those of the target.
          const named = new Set(plan.volumes.map(({ name }) => name));
          expect(
            happened.volumes.filter((line) => named.has(line.split(" ")[1] ?? "")),
            story,
          ).toEqual(plan.volumes.map(({ action, name }) => `${action} ${name}`).sort());
          for (const { action } of plan.services) counts[action] = (counts[action] ?? 0) + 1;
        }
      }
      await during(world.stop());
    }
    // Each action has been compared, and updates that can go back.
    expect(safe).toBeGreaterThan(50);
    for (const action of ["keep", "replace", "handOver", "create", "remove"])
      expect(counts[action], action).toBeGreaterThan(5);
  },
);

const has = ({ containers }: State, appId: number, service: string): boolean =>
  containers.some((one) => one.appId === appId && one.service === service && !isHandingOver(one));
