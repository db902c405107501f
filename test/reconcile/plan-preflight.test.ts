import { describe, expect, test } from "vitest";
import type { Manifest } from "../../core/model/image.ts";
import { fingerprintOf } from "../../core/model/fingerprint.ts";
import type { App } from "../../core/model/target.ts";
import type { UpdateFacts } from "../../core/model/update-facts.ts";
import { plainImage } from "../compose/specs.ts";
import type { CurrentState, PreflightFacts } from "../../core/reconcile/current.ts";
import { plan } from "../../core/reconcile/plan.ts";
import { diskOf } from "../../core/reconcile/plan-preflight.ts";
import {
  app,
  device,
  downloading,
  exited,
  fetched,
  held,
  image,
  network,
  running,
  sentences,
  sentencesFor,
  strategy,
  target,
} from "./literals.ts";

const megabyte = 1_000_000;

/** A disk of 10 GB, of which 500 MB are kept in reserve. */
const facts = (
  freeMegabytes: number,
  manifests: Readonly<Record<string, Manifest>> = {},
  more: Partial<PreflightFacts> = {},
): PreflightFacts => ({
  space: { freeBytes: freeMegabytes * megabyte, totalBytes: 10e9, freeInodes: 50, inodes: 100 },
  asked: new Set(),
  manifests: new Map(Object.entries(manifests)),
  layers: new Map(),
  volumes: new Map(),
  ...more,
});

/** An image of layers with these sizes in MB; each is named after its place and size. */
const layers = (...sizes: readonly number[]): Manifest => ({
  is: "known",
  layers: sizes.map((size, n) => ({ diffId: `${n}-${size}`, bytes: size * megabyte })),
});

const releases = "release the update locks of app 1";
const web = running("web", "web:1");
const release = app({ web: "web:2" });

describe("a download", () => {
  test("that fits, with what is kept in reserve, begins", () => {
    expect(sentences(device([web], { preflight: facts(850, { "web:2": layers(100) }) }), release)).toEqual([
      "fetch image web:2",
    ]);
  });

  test("that does not fit waits for space", () => {
    expect(sentences(device([web], { preflight: facts(849, { "web:2": layers(100) }) }), release)).toEqual([
      "wait for space on the disk: 350 MB needed, 849 MB free, 500 MB kept in reserve",
    ]);
  });

  test("needs less if the engine has layers of it already, with the same layers below", () => {
    const manifests = { "web:2": layers(40, 100) };
    const having = (...ids: readonly string[]) => facts(850, manifests, { layers: new Map([["web:1", ids]]) });
    const fetching = ["fetch image web:2"];
    expect(sentences(device([web], { preflight: having("0-40", "1-30") }), release)).toEqual(fetching);
    expect(sentences(device([web], { preflight: having("0-30", "1-100") }), release)).toEqual([
      "wait for space on the disk: 490 MB needed, 850 MB free, 500 MB kept in reserve",
    ]);
  });

  test("needs a layer once, whichever of its images has it", () => {
    const preflight = facts(860, { "web:2": layers(100), "db:2": layers(100, 1) });
    expect(sentences(device([], { preflight }), app({ web: "web:2", db: "db:2" }))).toEqual([
      "fetch image web:2",
      "fetch image db:2",
    ]);
  });

  test("waits if one image of the release does not fit beside the other", () => {
    const preflight = facts(1000, { "web:2": layers(100), "db:2": layers(101) });
    expect(sentences(device([], { preflight }), app({ web: "web:2", db: "db:2" }))).toEqual([
      "wait for space on the disk: 704 MB needed, 1 GB free, 500 MB kept in reserve",
    ]);
  });

  test("of one application waits for that of another, if there is space for one of them", () => {
    const preflight = facts(1000, { "web:2": layers(100), "db:2": layers(0, 100) });
    const apps = [app({ web: "web:2" }), app({ db: "db:2" }, { appId: 2 })];
    const short = "wait for space on the disk: 350 MB needed, 650 MB free, 500 MB kept in reserve";
    const networks = [network("default"), network("default", {}, 2)];
    expect(sentences(device([], { preflight, networks }), ...apps)).toEqual(["fetch image web:2", short]);
    const current = device([], { preflight, networks, downloads: downloading("db:2") });
    expect(sentences(current, ...apps)).toEqual([short, "wait for image db:2"]);
  });

  test("does not count on the layers of another application that does not fit", () => {
    const preflight = facts(1000, { "web:2": layers(100, 100), "db:2": layers(100, 50) });
    const apps = [app({ web: "web:2" }), app({ db: "db:2" }, { appId: 2 })];
    const networks = [network("default"), network("default", {}, 2)];
    expect(sentences(device([], { preflight, networks }), ...apps)).toEqual([
      "wait for space on the disk: 700 MB needed, 1 GB free, 500 MB kept in reserve",
      "wait for space on the disk: 525 MB needed, 1 GB free, 500 MB kept in reserve",
    ]);
  });

  test("begins if nothing is known about its size", () => {
    const preflight = facts(501, { "web:2": { is: "unknown", reason: "no answer" } });
    expect(sentences(device([web], { preflight }), release)).toEqual(["fetch image web:2"]);
    expect(sentences(device([web], { preflight: facts(501) }), release)).toEqual(["fetch image web:2"]);
  });

  test("does not begin while the reserve is used, whatever its size", () => {
    expect(sentences(device([web], { preflight: facts(499) }), release)).toEqual([
      "wait for space on the disk: 499 MB free, 500 MB kept in reserve",
    ]);
  });

  test("does not begin while there are hardly any inodes left", () => {
    const space = { freeBytes: 9e9, totalBytes: 10e9, freeInodes: 4, inodes: 100 };
    expect(sentences(device([web], { preflight: facts(0, {}, { space }) }), release)).toEqual([
      "wait for space on the disk: 4 % of the inodes are free, 5 % are kept in reserve",
    ]);
    const btrfs = { ...space, freeInodes: 0, inodes: 0 };
    expect(sentences(device([web], { preflight: facts(0, {}, { space: btrfs }) }), release)).toEqual([
      "fetch image web:2",
    ]);
  });

  test("waits for the answer of its registry, and so does what a strategy stops before", () => {
    const preflight = facts(5000, {}, { asked: new Set(["web:2"]) });
    const asked = "wait for the registries to tell how large the images are";
    expect(sentences(device([web], { preflight }), release)).toEqual([asked]);
    const killing = app({ web: { image: "web:2", ...strategy("kill-then-download") } });
    expect(sentences(device([web], { preflight }), killing)).toEqual([asked]);
  });

  test("is not held in local mode, unless updates are checked there, too", () => {
    const current = device([web], { preflight: facts(0), localMode: true });
    expect(sentences(current, release)).toEqual(["fetch image web:2"]);
    expect(sentencesFor(current, target([release], { config: { SUPERVISOR_SAFE_UPDATES: "on" } }))).toEqual([
      "wait for space on the disk: 0 kB free, 500 MB kept in reserve",
    ]);
  });

  test("of a rejected release is none", () => {
    const rejected = app({ web: "web:2" }, { rejected: "it needs another device" });
    expect(sentences(device([web], { preflight: facts(0) }), rejected)).toEqual([]);
  });

  test("that waits is checked again from time to time, and has its figures", () => {
    const preflight = facts(600, { "web:2": layers(100) });
    const steps = plan(device([web], { preflight }), target([release])).get(1);
    expect(steps).toEqual([
      expect.objectContaining({
        action: "wait",
        recheckMs: 30_000,
        obstacle: expect.objectContaining({
          kind: "diskFull",
          disk: { need: 350e6, free: 600e6, reserve: 500e6 },
        }),
      }),
    ]);
  });
});

describe("a disk that is too small", () => {
  const old = (bytes?: number) => ({ ...image("web:1"), ...(bytes !== undefined && { bytes }) });
  const short = (bytes?: number): CurrentState =>
    device([web], {
      images: [old(bytes)],
      imageRecords: fetched("web", "web:1"),
      preflight: facts(600, { "web:2": layers(100) }),
      locks: held("web"),
    });
  const deleting = (more: Partial<App> = {}): App => ({
    ...release,
    update: { failureAction: "rollback", deadlineMs: 0, apply: [], onDiskShort: "delete-then-download" },
    ...more,
  });
  const waits = "wait for space on the disk: 350 MB needed, 600 MB free, 500 MB kept in reserve";
  const first = `${waits}; old images are removed first, so going back needs the network`;

  test("stops nothing by itself", () => {
    expect(sentences(short(300e6), release)).toEqual([waits, releases]);
  });

  test("lets the old image go first, if the release says so", () => {
    const kills = "kill web (image: web:2 will be downloaded)";
    expect(sentences(short(300e6), deleting())).toEqual([first, kills]);
    const stopped = { ...short(300e6), containers: [] };
    expect(sentences(stopped, deleting())).toEqual(["remove image web:1", "remove image web:1", first, releases]);
  });

  test("does not let it go if that would not be enough", () => {
    expect(sentences(short(200e6), deleting())).toEqual([waits, releases]);
  });

  test("does not let it go if another service needs it still", () => {
    const both = deleting({ services: app({ web: "web:2", other: "web:1" }).services });
    expect(sentences({ ...short(300e6), imageRecords: fetched("web", "web:1") }, both)).toContain(waits);
  });

  test("lets it go if its size is not known", () => {
    expect(sentences(short(), deleting())).toContain(first);
  });

  test("lets it go with delete-then-download, if that is enough", () => {
    const killing = app({ web: { image: "web:2", ...strategy("delete-then-download") } });
    expect(sentences(short(300e6), killing)).toEqual([first, "kill web (image: web:2 will be downloaded)"]);
    expect(sentences({ ...short(300e6), containers: [] }, killing)).toContain("remove image web:1");
    expect(sentences(short(200e6), killing)).toEqual([waits, releases]);
  });

  test("stops nothing with kill-then-download; an old image that no container uses goes", () => {
    const killing = app({ web: { image: "web:2", ...strategy("kill-then-download") } });
    expect(sentences(short(300e6), killing)).toEqual([waits, releases]);
    expect(sentences({ ...short(300e6), containers: [] }, killing)).toEqual(["remove image web:1", waits, releases]);
  });
});

describe("the committed release, while another one is downloaded,", () => {
  const committed = app({ web: "web:1" });
  const updates: CurrentState["updates"] = new Map([
    [1, { committed: { app: committed, fingerprint: fingerprintOf(committed), images: {} } }],
  ]);
  const beside = { images: [{ ...image("web:1"), bytes: 300e6 }], imageRecords: fetched("web", "web:1"), updates };
  const preflight = facts(600, { "web:2": layers(100) });
  const deleting: App = {
    ...release,
    update: { failureAction: "rollback", deadlineMs: 0, apply: [], onDiskShort: "delete-then-download" },
  };

  test("keeps its images if the disk is short", () => {
    expect(sentences(device([], { ...beside, preflight }), release)).not.toContain("remove image web:1");
  });

  test("gives them away if the release says so, and only then", () => {
    expect(sentences(device([], { ...beside, preflight }), deleting)).toContain("remove image web:1");
    const enough = facts(900, { "web:2": layers(100) });
    expect(sentences(device([], { ...beside, preflight: enough }), deleting)).not.toContain("remove image web:1");
    const hopeless = facts(500, { "web:2": layers(100) });
    expect(sentences(device([], { ...beside, preflight: hopeless }), deleting)).not.toContain("remove image web:1");
  });

  test("is installed again if one of its containers is gone and the other release cannot run here", () => {
    const current = device([], {
      ...beside,
      images: ["web:1", "web:2"],
      emulated: new Set(),
      imageConfigs: new Map([
        ["web:1", plainImage],
        ["web:2", { ...plainImage, architecture: "arm64" }],
      ]),
    });
    expect(sentences(current, release)).toEqual([
      "install and start web",
      "wait for an image of service web for this machine, which is amd64: it is for arm64",
    ]);
  });

  test("keeps its networks, too, if the other release cannot run here", () => {
    const before = app({ web: "web:1" }, { networks: { old: {} } });
    const facts = { committed: { app: before, fingerprint: fingerprintOf(before), images: {} } };
    const current = device([web], {
      images: ["web:2"],
      networks: [network("default"), network("old")],
      updates: new Map([[1, facts]]),
      emulated: new Set(),
      imageConfigs: new Map([
        ["web:1", plainImage],
        ["web:2", { ...plainImage, architecture: "arm64" }],
      ]),
    });
    expect(sentences(current, release)).toEqual([
      "wait for an image of service web for this machine, which is amd64: it is for arm64",
    ]);
  });
});

test("the copy of a volume before an update needs space, too, and its size is waited for", () => {
  const volumes = { data: { labels: { "io.balena.update.snapshot": "true" } } };
  const next = app({ web: { image: "web:2", volumes: ["data:/data"] } }, { volumes });
  const known: UpdateFacts = { committed: { app: app({ web: "web:1" }), fingerprint: "1", images: {} } };
  const data = { name: "1_data", spec: { driver: "local", driverOptions: {}, labels: {} } };
  const beside = { volumes: [data], updates: new Map([[1, known]]) };
  const having = (bytes: ReadonlyMap<string, number>, updates = beside.updates) =>
    device([web], {
      ...{ ...beside, updates },
      preflight: facts(900, { "web:2": layers(100) }, { volumes: bytes }),
    });
  const sized = (megabytes: number) => new Map([["1_data", megabytes * megabyte]]);
  expect(sentences(having(sized(50)), next)).toContain("fetch image web:2");
  expect(sentences(having(sized(51)), next)).toContain(
    "wait for space on the disk: 401 MB needed, 900 MB free, 500 MB kept in reserve",
  );
  expect(diskOf(1, having(sized(51)), target([next]))).toMatchObject({ need: 401e6, free: 900e6 });
  expect(sentences(having(new Map()), next)).toContain("wait for the registries to tell how large the images are");
  // A first installation copies nothing.
  expect(sentences(having(sized(51), new Map()), next)).toContain("fetch image web:2");
});

test("the figures of an application are known while its downloads are judged", () => {
  const figures = (current: CurrentState, ...apps: readonly App[]) => diskOf(1, current, target(apps));
  const manifests = { "web:2": layers(100) };
  expect(figures(device([], { preflight: facts(850, manifests) }), release)).toEqual({
    ...{ need: 350e6, free: 850e6, reserve: 500e6 },
  });
  expect(figures(device([], { preflight: facts(600, manifests) }), release)).toMatchObject({
    need: 350e6,
    free: 600e6,
  });
  expect(figures(device([], { preflight: facts(600, {}, { asked: new Set(["web:2"]) }) }), release)).toBeUndefined();
  expect(figures(device([]), release)).toBeUndefined();
});

describe("an image for another machine", () => {
  const known = { emulated: new Set<string>() };
  const arm: Manifest = { is: "known", layers: [], architecture: "arm64" };
  const said = "wait for an image of service web for this machine, which is amd64: it is for arm64";

  test("is not downloaded, and nothing stops for it", () => {
    const current = device([web], { ...known, preflight: facts(5000, { "web:2": arm }), locks: held("web") });
    expect(sentences(current, release)).toEqual([said, releases]);
    const killing = app({ web: { image: "web:2", ...strategy("kill-then-download") } });
    expect(sentences(current, killing)).toEqual([said, releases]);
  });

  test("is not downloaded if the registry has it for no machine like this", () => {
    const manifest: Manifest = { is: "foreign", architectures: ["arm64", "arm"] };
    expect(sentences(device([web], { ...known, preflight: facts(5000, { "web:2": manifest }) }), release)).toEqual([
      `${said}, arm`,
    ]);
  });

  const here = (architecture: string): Partial<CurrentState> => ({
    imageConfigs: new Map([["web:2", { ...plainImage, architecture }]]),
  });

  test("that is here stops nothing and is not installed", () => {
    const current = device([web], { ...known, images: ["web:2"], ...here("arm64"), locks: held("web") });
    expect(sentences(current, release)).toEqual([said, releases]);
    expect(sentences({ ...current, containers: [] }, release)).toEqual([said, releases]);
    const killing = app({ web: { image: "web:2", ...strategy("kill-then-download") } });
    expect(sentences(current, killing)).toEqual([said, releases]);
  });

  test("stops nothing of another service of the release, whose containers start", () => {
    const containers = [web, exited("db", "db:1", { restart: "always" }), running("old", "old:1")];
    const current = device(containers, { ...known, images: ["web:2"], ...here("arm64") });
    const imageConfigs = new Map([...current.imageConfigs, ["db:1", plainImage] as const]);
    const both = app({ web: "web:2", db: { image: "db:1", restart: "always" } });
    expect(sentences({ ...current, imageConfigs }, both)).toEqual(["start db", said]);
  });

  test.each<[string, Partial<CurrentState>, string]>([
    ["if the machine runs it by an interpreter", { emulated: new Set(["arm64"]) }, "arm64"],
    ["if the engine's machine is not known", {}, "arm64"],
    ["if the machine runs both", known, "386"],
    ["if the architecture is not known", known, ""],
  ])("is installed %s", (_, more, architecture) => {
    const current = device([], { images: ["web:2"], ...here(architecture), ...more });
    expect(sentences(current, release)).toEqual(["install and start web"]);
  });

  test("that runs all the same goes on", () => {
    const current = device([running("web", "web:2")], { ...known, ...here("arm64") });
    expect(sentences(current, release)).toEqual([]);
  });
});

describe("a host port of another application", () => {
  const ports = (...list: readonly string[]) => ({ image: "web:2", ports: list });
  const other = (list: readonly string[], more: object = {}) =>
    app({ proxy: { image: "proxy:1", ports: list, ...more } }, { appId: 2 });
  const proxy = (list: readonly string[]) => running("proxy", "proxy:1", { ports: list }, { appId: 2 });
  const said = "wait for host port 8080/tcp, which service proxy of application fleet holds";
  const networks = [network("default"), network("default", {}, 2)];

  test("is waited for before anything stops", () => {
    const current = device([web, proxy(["8080:80"])], { networks, images: ["web:2"], locks: held("web") });
    const wanted = [app({ web: ports("8080:80") }), other(["8080:80"])];
    expect(sentences(current, ...wanted)).toEqual([said, releases]);
  });

  test("is waited for while the image is downloaded", () => {
    const current = device([web, proxy(["8080:80"])], { networks });
    expect(sentences(current, app({ web: ports("8080:80") }), other(["8080:80"]))).toEqual(["fetch image web:2", said]);
  });

  const goes = ["kill web (", "install and start web"];
  test.each<[string, readonly string[], readonly string[], readonly string[], object]>([
    ["of the other protocol", ["8080:80/udp"], ["8080:80"], ["8080:80"], {}],
    ["on another address", ["127.0.0.1:8080:80"], ["192.0.2.1:8080:80"], ["192.0.2.1:8080:80"], {}],
    ["that it gives up", ["8080:80"], ["8080:80"], ["8081:80"], {}],
    ["that it does not have yet", ["8080:80"], ["8081:80"], ["8080:80"], {}],
    ["of a service that is to stop", ["8080:80"], ["8080:80"], ["8080:80"], { running: false }],
    ["that the engine chooses", ["80"], ["80"], ["80"], {}],
  ])("%s is none", (_, own, has, wants, more) => {
    const current = device([web, proxy(has)], { images: ["web:2"], locks: held("web") });
    const all = sentences(current, app({ web: ports(...own) }), other(wants, more));
    expect(all.filter((one) => goes.some((start) => one.startsWith(start)))).toHaveLength(1);
  });

  test.each([
    ["127.0.0.1:8080:80", "8080:80"],
    ["0.0.0.0:8080:80", "192.0.2.1:8080:80"],
    ["[::]:8080:80", "[2001:db8::1]:8080:80"],
    ["[::]:8080:80", "8080:80"],
  ])("%s is the same as %s", (own, others) => {
    const current = device([proxy([others])], { images: ["web:2"] });
    expect(sentences(current, app({ web: ports(own) }), other([others]))).toContain(said);
  });

  test("is no matter to a service that does not run", () => {
    const current = device([proxy(["8080:80"])], { images: ["web:2"] });
    const stopped = app({ web: { ...ports("8080:80"), running: false } });
    expect(sentences(current, stopped, other(["8080:80"]))).toContain("install web");
  });
});
