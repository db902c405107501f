import { describe, expect, test } from "vitest";
import { MemoryStore } from "../../core/embedded/ports.ts";
import type { Store } from "../../core/ports/store.ts";
import { Documents } from "../../core/state/documents.ts";
import { Targets } from "../../core/state/targets.ts";
import { facts } from "../compose/read.ts";

const uuid = "0123456789abcdef0123456789abcdef";

async function loaded({
  store = new MemoryStore(),
  managed = false,
  developmentMode = false,
}: { store?: Store; managed?: boolean; developmentMode?: boolean } = {}) {
  const targets = new Targets(new Documents(store), { facts, uuid, managed, developmentMode });
  await targets.load();
  return targets;
}

const local = (more: object = {}, services: object = {}): object => ({
  local: {
    name: "kitchen",
    config: { SUPERVISOR_POLL_INTERVAL: "600000" },
    apps: {
      "1": {
        name: "fleet",
        commit: "c1",
        releaseId: "1",
        services: {
          "1": { serviceName: "one", imageId: 1, image: "one", environment: { A: "1" }, labels: {}, ...services },
        },
      },
    },
    ...more,
  },
});

const cloud = (config: object = {}): object => ({
  [uuid]: {
    name: "cellar",
    config,
    apps: {
      u7: {
        id: 7,
        name: "fleet",
        releases: {
          c9: { id: 9, services: { web: { id: 1, image_id: 2, image: "web", environment: {}, labels: {} } } },
        },
      },
    },
  },
});

const running = (targets: Targets) =>
  targets.current().apps.flatMap((app) => app.services.map((service) => `${app.appId}/${service.name}`));

test("a device without any target state should run nothing", async () => {
  const targets = await loaded();
  expect(targets.current()).toEqual({ name: "local", config: {}, apps: [], unset: true });
  expect(targets.isLocalMode()).toBe(true);
});

describe("a developer's target state", () => {
  test("is in effect once it is accepted", async () => {
    const targets = await loaded();
    expect((await targets.setLocal(local())).ok).toBe(true);
    expect(running(targets)).toEqual(["1/one"]);
    expect(targets.current().name).toBe("kitchen");
  });

  test("that is refused does not replace the old one, also after a restart", async () => {
    const store = new MemoryStore();
    const targets = await loaded({ store });
    await targets.setLocal(local());
    const before = targets.current();
    for (const body of [{}, null, "x", [], local({ name: 5 }), local({}, { ports: ["abc"] }), local({ apps: null })]) {
      const parsed = await targets.setLocal(body);
      expect(parsed.ok).toBe(false);
      expect(targets.current()).toEqual(before);
    }
    expect((await loaded({ store })).current()).toEqual(before);
  });

  test("survives a restart", async () => {
    const store = new MemoryStore();
    const targets = await loaded({ store });
    await targets.setLocal(local());
    expect((await loaded({ store })).current()).toEqual(targets.current());
  });

  test("without applications removes all of them permanently", async () => {
    const store = new MemoryStore();
    const targets = await loaded({ store });
    await targets.setLocal(local());
    expect((await targets.setLocal({ local: { apps: {} } })).ok).toBe(true);
    expect(running(targets)).toEqual([]);
    expect(running(await loaded({ store }))).toEqual([]);
  });

  test("without a name keeps the device's previous name, also after a restart", async () => {
    const store = new MemoryStore();
    const targets = await loaded({ store });
    await targets.setLocal(local());
    await targets.setLocal({ local: { apps: {} } });
    expect(targets.current().name).toBe("kitchen");
    expect((await loaded({ store })).current().name).toBe("kitchen");
  });

  test("that cannot be stored does not take effect", async () => {
    const store = new MemoryStore();
    const targets = await loaded({ store });
    await targets.setLocal(local());
    store.write = () => Promise.reject(new Error("the disk is full"));
    await expect(targets.setLocal({ local: { apps: {} } })).rejects.toThrow("the disk is full");
    expect(running(targets)).toEqual(["1/one"]);
  });

  test("can be read and posted back unchanged", async () => {
    const targets = await loaded();
    await targets.setLocal(local({}, { command: "run 'it now'", ports: ["8080:80"], banana: 1 }));
    const before = targets.current();
    const shown = targets.show();
    expect(shown.local.apps).toEqual(
      JSON.parse(JSON.stringify(local({}, { command: "run 'it now'", ports: ["8080:80"], banana: 1 }))).local.apps,
    );
    expect((await targets.setLocal({ ...shown, dependent: { apps: [], devices: [] } })).ok).toBe(true);
    expect(targets.current().apps).toEqual(before.apps);
    expect(targets.show()).toEqual(shown);
  });

  test("is shown with every config variable", async () => {
    const targets = await loaded();
    expect(targets.show().local).toMatchObject({
      name: "local",
      config: { SUPERVISOR_LOCAL_MODE: "true", SUPERVISOR_POLL_INTERVAL: "900000" },
      apps: {},
    });
    await targets.setLocal(local());
    expect(targets.show().local.config).toMatchObject({
      SUPERVISOR_POLL_INTERVAL: "600000",
      SUPERVISOR_DELTA: "false",
    });
  });

  test("that only an older version accepts is discarded without a failure", async () => {
    const store = new MemoryStore();
    await store.write({ "local-target": { local: { apps: { "1": { what: "is this" } } } }, "device-name": 5 });
    expect((await loaded({ store })).current()).toEqual({ name: "local", config: {}, apps: [], unset: true });
    await store.write({ "local-target": "nonsense", "cloud-target": 7 });
    expect((await loaded({ store })).current().apps).toEqual([]);
  });
});

describe("a device with a cloud", () => {
  test("runs the cloud's target state", async () => {
    const store = new MemoryStore();
    const targets = await loaded({ store, managed: true });
    expect(targets.isLocalMode()).toBe(false);
    expect(running(targets)).toEqual([]);
    expect((await targets.setCloud(cloud())).ok).toBe(true);
    expect(running(targets)).toEqual(["7/web"]);
    expect(running(await loaded({ store, managed: true }))).toEqual(["7/web"]);
  });

  test("whose new target state is refused keeps the old one", async () => {
    const targets = await loaded({ managed: true });
    await targets.setCloud(cloud());
    expect((await targets.setCloud({ other: {} })).ok).toBe(false);
    expect(running(targets)).toEqual(["7/web"]);
  });

  test.each(["1", "true", "on"])(
    "does not enter local mode on the cloud's request (%j) without development mode, and logs the reason",
    async (value) => {
      const store = new MemoryStore();
      const targets = await loaded({ store, managed: true });
      const told = cloud({ RESIN_SUPERVISOR_LOCAL_MODE: value, RESIN_SUPERVISOR_DELTA: "1" });
      expect(await targets.setCloud(told)).toMatchObject({
        isNew: true,
        warnings: [expect.stringMatching(/^SUPERVISOR_LOCAL_MODE is refused: .* developmentMode: true/)],
      });
      const shown = { SUPERVISOR_LOCAL_MODE: "false", SUPERVISOR_DELTA: "1" };
      for (const one of [targets, await loaded({ store, managed: true })]) {
        expect(one.isLocalMode()).toBe(false);
        expect(running(one)).toEqual(["7/web"]);
        expect(one.show().local.config).toMatchObject(shown);
      }
      expect((await loaded({ store, managed: true, developmentMode: true })).isLocalMode()).toBe(true);
    },
  );

  test("whose cloud turns local mode off logs no refusal", async () => {
    const targets = await loaded({ managed: true });
    expect(await targets.setCloud(cloud({ SUPERVISOR_LOCAL_MODE: "0" }))).toMatchObject({ warnings: [] });
  });
});

describe("a development device with a cloud", () => {
  test.each(["1", "true", "on"])(
    "enters local mode on the cloud's request (%j), without applications",
    async (value) => {
      const targets = await loaded({ managed: true, developmentMode: true });
      await targets.setCloud(cloud({ RESIN_SUPERVISOR_LOCAL_MODE: value }));
      expect(targets.isLocalMode()).toBe(true);
      expect(running(targets)).toEqual([]);
      expect(targets.current().name).toBe("cellar");
    },
  );

  test("in local mode runs the developer's target state, and afterwards the cloud's again", async () => {
    const targets = await loaded({ managed: true, developmentMode: true });
    await targets.setCloud(cloud({ SUPERVISOR_LOCAL_MODE: "1" }));
    await targets.setLocal(local());
    expect(running(targets)).toEqual(["1/one"]);
    await targets.setCloud(cloud({ SUPERVISOR_LOCAL_MODE: "0" }));
    expect(running(targets)).toEqual(["7/web"]);
    expect(targets.show().local.apps).toEqual({});
  });

  test("cannot be taken out of local mode by the developer's own config", async () => {
    const targets = await loaded({ managed: true, developmentMode: true });
    await targets.setCloud(cloud({ SUPERVISOR_LOCAL_MODE: "1" }));
    await targets.setLocal(local({ config: { SUPERVISOR_LOCAL_MODE: "0" } }));
    expect(targets.isLocalMode()).toBe(true);
  });
});

describe("an application that the cloud's target state no longer has", () => {
  const minutes = (n: number) => n * 60_000;
  const left = (targets: Targets) => targets.current().left?.map(({ appId, confirmed }) => `${appId} ${confirmed}`);
  /** The device's target state in another fleet. */
  const moved = (config: object = {}) => ({
    [uuid]: { ...Object.values(cloud(config))[0], apps: { u8: { id: 8, name: "other", releases: {} } } },
  });

  test("counts as left after a later answer confirms it, not after an immediate one", async () => {
    const targets = await loaded({ managed: true });
    await targets.setCloud(cloud());
    expect(await targets.confirmLeft(minutes(0))).toBe(false);
    expect(left(targets)).toBeUndefined();

    await targets.setCloud(moved());
    expect(left(targets)).toEqual(["7 false"]);
    expect(await targets.confirmLeft(minutes(1))).toBe(false);
    expect(await targets.confirmLeft(minutes(10.9))).toBe(false);
    expect(left(targets)).toEqual(["7 false"]);
    expect(await targets.confirmLeft(minutes(11))).toBe(true);
    expect(left(targets)).toEqual(["7 true"]);
    expect(await targets.confirmLeft(minutes(30))).toBe(false);
  });

  test("does not count as left if the next answer has it again, and its next removal must be confirmed again", async () => {
    const targets = await loaded({ managed: true });
    await targets.setCloud(cloud());
    await targets.setCloud(moved());
    await targets.confirmLeft(minutes(0));
    await targets.setCloud(cloud());
    expect(left(targets)).toEqual(["8 false"]);
    await targets.setCloud(moved());
    expect(await targets.confirmLeft(minutes(20))).toBe(false);
    expect(left(targets)).toEqual(["7 false"]);
  });

  test("is remembered through restarts until all of it is removed", async () => {
    const store = new MemoryStore();
    const first = await loaded({ store, managed: true });
    await first.setCloud(cloud());
    await first.setCloud(moved());
    await first.confirmLeft(minutes(0));
    const second = await loaded({ store, managed: true });
    await second.setCloud(moved({ SUPERVISOR_DELTA: "1" }));
    expect(await second.confirmLeft(minutes(10))).toBe(true);
    await second.forgetLeft(7);
    expect(left(second)).toBeUndefined();
    expect(left(await loaded({ store, managed: true }))).toBeUndefined();
  });

  test("is never an unknown one, so none counts as left on a first start", async () => {
    const targets = await loaded({ managed: true });
    await targets.setCloud(moved());
    await targets.confirmLeft(minutes(0));
    await targets.confirmLeft(minutes(20));
    expect(left(targets)).toBeUndefined();
  });
});
