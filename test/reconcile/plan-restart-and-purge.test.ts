import { describe, expect, test } from "vitest";
import { plan } from "../../core/reconcile/plan.ts";
import {
  app,
  aside,
  device,
  downloading,
  exited,
  fetched,
  foreign,
  held,
  network,
  running,
  sentences,
  strategy,
  target,
  volume,
} from "./literals.ts";

const web = running("web", "web:1");
const data = { volumes: { data: {} } };
const restarted = app({ web: "web:1", db: "db:1" }, { ...data, temporary: "stopped" });
const purged = app({ web: "web:1", db: "db:1" }, { ...data, temporary: "purged" });
const locks = held("db", "web");

/** What a target holds while an application is restarted or purged: no containers. When it is reached, the real one holds. */
describe("an application that is restarted", () => {
  test("is killed under the locks, including containers that do not run", () => {
    const current = device([web, exited("db", "db:1")], { volumes: [volume("data")] });
    expect(sentences(current, restarted)).toEqual([
      "take the update locks of app 1",
      "… to kill web (the application is restarted)",
      "… to kill db (the application is restarted)",
    ]);
  });

  test("has its containers recorded, since they are created again", () => {
    const current = device([web], { volumes: [volume("data")], locks: held("web") });
    expect([...plan(current, target([restarted])).values()].flat()).toMatchObject([{ action: "kill", again: true }]);
  });

  test("keeps its networks and volumes", () => {
    const current = device([], { images: ["web:1", "db:1"], volumes: [volume("data")] });
    expect(sentences(current, restarted)).toEqual([]);
  });

  test("keeps networks and volumes that are in no release", () => {
    const current = device([], {
      networks: [network("default"), network("old")],
      volumes: [volume("data"), volume("x")],
    });
    expect(sentences(current, restarted)).toEqual([]);
  });

  test("keeps its images", () => {
    const current = device([], { images: ["web:1"], volumes: [volume("data")], imageRecords: fetched("web", "web:1") });
    expect(sentences(current, restarted)).toEqual([]);
  });

  test("does not wait for images", () => {
    const current = device([web], { volumes: [volume("data")], downloads: downloading("db:1"), locks: held("web") });
    expect(sentences(current, restarted)).toEqual(["kill web (the application is restarted)"]);
  });

  test("has its locks released after the containers are removed", () => {
    const current = device([], { volumes: [volume("data")], locks });
    expect(sentences(current, restarted)).toEqual(["release the update locks of app 1"]);
  });

  test("has each container killed once, although containers share namespaces", () => {
    const current = device([running("db", "db:1", { pid: "container:web" }), web], {
      volumes: [volume("data")],
      locks,
    });
    expect(sentences(current, restarted)).toEqual([
      "kill db (the application is restarted)",
      "kill web (the application is restarted)",
    ]);
  });

  test("does not affect other applications", () => {
    const other = running("web", "web:1", {}, { appId: 2 });
    const current = device([web, other], {
      networks: [network("default"), network("default", {}, 2)],
      volumes: [volume("data")],
      locks: held("web"),
    });
    expect(sentences(current, restarted, app({ web: "web:1" }, { appId: 2 }))).toEqual([
      "kill web (the application is restarted)",
    ]);
  });

  describe("during a hand-over", () => {
    const predecessor = aside(running("web", "web:1", strategy("hand-over")));
    const successor = running("web", "web:2", strategy("hand-over"));
    const kills = (...containers: Parameters<typeof device>[0]) => {
      const current = device(containers, { volumes: [volume("data")], locks: held("web") });
      return [...plan(current, target([restarted])).values()].flat();
    };

    test("loses both containers, and only the successor is created again", () => {
      expect(kills(predecessor, successor)).toEqual([
        expect.objectContaining({ action: "kill", id: "web", again: true }),
        expect.not.objectContaining({ again: true }),
      ]);
    });

    test("has the predecessor created again if there is no successor yet", () => {
      expect(kills(predecessor)).toEqual([expect.objectContaining({ action: "kill", id: "old_web", again: true })]);
    });
  });
});

describe("an application that is purged", () => {
  test("is killed first", () => {
    const current = device([web], { volumes: [volume("data")] });
    expect(sentences(current, purged)).toEqual([
      "take the update locks of app 1",
      "… to kill web (the application is purged)",
    ]);
  });

  test("then loses its volumes, those of earlier releases too, and no network", () => {
    const current = device([], {
      networks: [network("default"), network("old")],
      volumes: [volume("data"), volume("old")],
      locks,
    });
    expect(sentences(current, purged)).toEqual(["remove volume 1_data", "remove volume 1_old"]);
  });

  test("keeps the volumes of other applications and programs", () => {
    const volumes = [volume("data", {}, 2), volume("data", {}, 11), foreign(volume("x"))];
    expect(sentences(device([], { volumes }), purged)).toEqual([]);
  });

  test("gets no volumes until the purge has ended", () => {
    expect(sentences(device([], { locks }), purged)).toEqual(["release the update locks of app 1"]);
  });

  test("is then created again", () => {
    const current = device([], { images: ["web:1"], locks: held("web") });
    expect(sentences(current, app({ web: { image: "web:1", volumes: ["data:/data"] } }, data))).toEqual([
      "create volume 1_data",
      "wait for volume 1_data",
      "release the update locks of app 1",
    ]);
  });
});

describe("a service that a restart has interrupted during the download for its next release", () => {
  const before = running("web", "web:1", { volumes: ["data:/data"] });
  const { id, name, spec } = before;
  const interrupted = new Map([["1/web", { id, name, spec }]]);
  const onTheWay = { images: ["web:1"], downloads: downloading("web:2"), volumes: [volume("data")], interrupted };
  const release = app({ web: "web:2" }, data);

  test("is created again unchanged", () => {
    expect(sentences(device([], onTheWay), release)).toEqual(["wait for image web:2", "install and start web"]);
    expect([...plan(device([], onTheWay), target([release])).values()].flat()[1]).toMatchObject({ name, spec });
  });

  test("is created again while other services wait for images too", () => {
    expect(sentences(device([], onTheWay), app({ web: "web:2", db: "db:1" }, data))).toEqual([
      "wait for image web:2",
      "fetch image db:1",
      "install and start web",
    ]);
  });

  test("is not created again if nothing has interrupted it", () => {
    const current = device([], { ...onTheWay, interrupted: new Map() });
    expect(sentences(current, release)).toEqual(["wait for image web:2"]);
  });

  test("is not created again if its image is removed", () => {
    expect(sentences(device([], { ...onTheWay, images: [] }), release)).toEqual(["wait for image web:2"]);
  });

  test("keeps its image until then", () => {
    const current = device([], { ...onTheWay, imageRecords: fetched("web", "web:1") });
    expect(sentences(current, release)).not.toContain("remove image web:1");
  });

  test("is not created again beside its own container", () => {
    const current = device([before], onTheWay);
    expect(sentences(current, release)).toEqual(["wait for image web:2"]);
  });

  test.each(["kill-then-download", "delete-then-download"])("is not created again under %s", (name) => {
    expect(sentences(device([], onTheWay), app({ web: { image: "web:2", ...strategy(name) } }, data))).toEqual([
      "wait for image web:2",
    ]);
  });

  test("is created and not started if the target state wants it stopped", () => {
    expect(sentences(device([], onTheWay), app({ web: { image: "web:2", running: false } }, data))).toEqual([
      "wait for image web:2",
      "install web",
    ]);
  });

  test("waits for its network and its volume", () => {
    expect(sentences(device([], { ...onTheWay, networks: [] }), release)).toEqual([
      "wait for image web:2",
      "create network 1_default",
      "wait for network 1_default",
    ]);
    expect(sentences(device([], { ...onTheWay, volumes: [] }), release)).toEqual([
      "wait for image web:2",
      "create volume 1_data",
      "wait for volume 1_data",
    ]);
  });

  test("waits for the service whose namespace it uses", () => {
    const inVpn = { ...spec, networks: {}, networkMode: "service:vpn" };
    const lodger = { ...onTheWay, interrupted: new Map([["1/web", { id, name, spec: inVpn }]]) };
    const both = app({ web: { image: "web:2", network_mode: "service:vpn" }, vpn: "vpn:1" }, data);
    expect(sentences(device([exited("vpn", "vpn:1")], { ...lodger, seen: new Set(["vpn"]) }), both)).toEqual([
      "wait for image web:2",
      "wait for vpn to run, whose namespace web uses",
    ]);
    expect(sentences(device([running("vpn", "vpn:1")], lodger), both)).toEqual([
      "wait for image web:2",
      "install and start web",
    ]);
  });
});
