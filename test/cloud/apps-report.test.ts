import type { View } from "../../core/reconcile/view.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { memoryIdentity } from "../../core/embedded/device.ts";
import { appsReport } from "../../core/apps-report.ts";
import type { ReleaseImages } from "../../core/cloud/release-images.ts";
import type { Container } from "../../core/model/container.ts";
import { containerName, handOverName } from "../../core/model/names.ts";
import type { App, Service } from "../../core/model/target.ts";
import { unseen, type Download } from "../../core/reconcile/current.ts";
import type { Step } from "../../core/reconcile/step.ts";
import { FakeCloud } from "../support/fake-cloud.ts";
import { plainSpec } from "../compose/specs.ts";
import { uuid } from "./fleet.ts";

/** The report about a device's releases: values in, a report out, and the cloud must accept it. */

const cloudFleet = new FakeCloud().fleet;

/** Services by name with their image names, which the cloud prefixes with its registry. */
type Services = Readonly<Record<string, string>>;
const locationOf = (image: string): string => `registry.example/v2/${image}`;
/** One image has a digest in the cloud's spelling, which the engine knows too. */
const spelled = (image: string): string =>
  image === "digested" ? `${locationOf(image)}@sha256:${"ab".repeat(32)}` : locationOf(image);

interface Scene {
  /** The releases in the cloud. */
  readonly releases: Readonly<Record<string, Services>>;
  /** The releases whose images the device remembers; by default all. */
  readonly known?: readonly string[];
  readonly target: string;
  /** The status of each `commit/service`. */
  readonly containers: Readonly<Record<string, Container["state"] | "handing over">>;
  /** Images on the device, besides those of containers. */
  readonly here?: readonly string[];
  readonly downloads?: Readonly<Record<string, Download>>;
  /** The remaining steps. */
  readonly steps?: readonly Step[];
  readonly rejected?: boolean;
  /** The commit of the release to which a failed update returns. */
  readonly committed?: string;
  readonly targetOnly?: boolean;
}

const waiting: Step = { action: "wait", reason: "something" };
const fetching = (image: string): Step => ({
  action: "fetch",
  image: { name: `${spelled(image)}:latest` },
  ...{ appId: 1, service: "", imageId: 1 },
});

function appsOf({ releases, known, target, containers, here = [], downloads = {}, steps = [], ...more }: Scene) {
  const { rejected = false, targetOnly = false, committed } = more;
  const idOf = (image: string) => `sha256:${image}`;
  const nameOf = (image: string) => (image === "digested" ? spelled(image) : `${locationOf(image)}:latest`);
  const service = ([name, image]: [string, string]): Service => ({
    ...{ name, serviceId: 1, imageId: 1, image: { name: nameOf(image) }, running: true, dependsOn: [] },
    ...{ strategy: "download-then-kill", handoverTimeoutMs: 0 },
    config: {
      environment: {},
      labels: {},
      restart: { name: "always", retries: 0 },
      ports: [],
      mounts: [],
      networks: {},
      settings: {},
    },
  });
  const app: App = {
    ...{ appId: 1, uuid: cloudFleet.uuid, name: "fleet-one", commit: target, releaseId: 1, networks: {}, volumes: {} },
    // A rejected release has no services.
    services: Object.entries(releases[target] ?? {}).map(service),
    ...(rejected && { rejected: "web: this device does not meet it" }),
  };
  const made = Object.entries(containers).map(([key, state], n): Container => {
    const [commit = "", name = ""] = key.split("/");
    const full = containerName(name, 1, 1, commit);
    return {
      ...{ id: `c${n}`, appId: 1, appUuid: cloudFleet.uuid, service: name, serviceId: 1, exitCode: 0, error: "" },
      ...{ createdAt: "", startedAt: 1, finishedAt: 0, restarts: 0, addresses: {} },
      name: state === "handing over" ? handOverName(full) : full,
      state: state === "handing over" ? "running" : state,
      spec: { ...plainSpec, image: idOf(releases[commit]?.[name] ?? "unknown") },
    };
  });
  const images = [...new Set([...here, ...made.map(({ spec }) => spec.image.replace("sha256:", ""))])];
  const view: View = {
    current: {
      ...unseen(0, { ...memoryIdentity, uuid, name: "n" }, false),
      containers: made,
      ...(committed !== undefined && {
        updates: new Map([[1, { committed: { app: { ...app, commit: committed }, fingerprint: "", images: {} } }]]),
      }),
      images: images.map((image) => ({ id: idOf(image), tags: [nameOf(image)], digests: [nameOf(image)] })),
      downloads: new Map(Object.entries(downloads).map(([image, download]) => [nameOf(image), download])),
    },
    target: { name: "n", config: {}, apps: [app] },
    plan: new Map([[1, steps]]),
    temporary: new Set(),
  };
  const commits = Object.entries(releases).filter(
    ([commit]) => commit === target || (known ?? [commit]).includes(commit),
  );
  const spellings: ReleaseImages = {
    [cloudFleet.uuid]: Object.fromEntries(
      commits.map(([commit, services]) => [
        commit,
        Object.fromEntries(Object.entries(services).map(([name, image]) => [name, spelled(image)])),
      ]),
    ),
  };
  return appsReport({ view, activity: new Map(), images: spellings, targetOnly });
}

/** The cloud's answer to the report, and the status of each image that is not deleted then. */
async function told(scene: Scene) {
  const cloud = new FakeCloud();
  const device = cloud.addDevice(uuid, "k");
  for (const [commit, services] of Object.entries(scene.releases)) {
    const rows = Object.entries(services).map(([name, image]) => [name, { image: spelled(image) }] as const);
    cloud.addRelease({ id: 1, commit, services: Object.fromEntries(rows) });
    // Every image that was once on the device has a row.
    for (const [, { image }] of rows) device.installs.set(image, { status: "deleted", progress: null, commit });
  }
  const body = JSON.stringify({ [uuid]: { apps: appsOf(scene) } });
  const headers = { "content-type": "application/json" };
  const request = { method: "PATCH", path: "/device/v3/state", key: "k", headers, body, timeoutMs: 1 } as const;
  const { status } = await cloud.ask(request, new AbortController().signal);
  const rows = [...device.installs].filter(([, row]) => row.status !== "deleted");
  return {
    status,
    release: device.running,
    update: device.updateStatus,
    rows: Object.fromEntries(
      rows.map(([image, row]) => [
        image.replace(/@.*$/, "").replace(locationOf(""), ""),
        row.progress === null ? row.status : `${row.status} ${row.progress}`,
      ]),
    ),
  };
}

/** The releases of a report by commit, with the status of their services. */
function said(scene: Scene): object {
  const app = appsOf(scene)[cloudFleet.uuid];
  return Object.fromEntries(
    Object.entries(app?.releases ?? {}).map(([commit, { services }]) => [
      commit,
      Object.fromEntries(Object.entries(services).map(([name, { status }]) => [name, status])),
    ]),
  );
}

const one = { web: "a" };

test("a release that was tried, and then replaced by another target, is not named as the one that the device has", () => {
  const scene: Scene = {
    ...{ releases: { c1: { web: "a" }, c2: { web: "a2" }, c3: { web: "a3" } }, target: "c3", steps: [fetching("a3")] },
    containers: { "c2/web": "running" },
  };
  const named = (committed: string) => appsOf({ ...scene, committed })[cloudFleet.uuid]?.release_uuid;
  expect([named("c1"), named("c2")]).toEqual([undefined, "c2"]);
});

describe("of a device's releases, the report contains", () => {
  test.each<[string, Scene, object]>([
    [
      "one that is being downloaded, and no other",
      {
        ...{ releases: { c1: one }, target: "c1", containers: {}, steps: [waiting] },
        downloads: { a: { is: "running", percent: 40 } },
      },
      { release: undefined, update: "downloading", rows: { a: "Downloading 40" } },
    ],
    [
      "one that runs",
      { releases: { c1: one }, target: "c1", containers: { "c1/web": "running" } },
      { release: "c1", update: "done", rows: { a: "Running" } },
    ],
    [
      "the old one as long as an update is stuck",
      {
        ...{ releases: { c1: { web: "a", db: "b" }, c2: { web: "a2", db: "b2" } }, target: "c2", here: ["a2"] },
        ...{ containers: { "c1/web": "running", "c1/db": "exited" }, steps: [fetching("b2")] },
      },
      {
        release: "c1",
        update: "downloading",
        rows: { a: "Running", b: "exited", a2: "Downloaded", b2: "Downloading 0" },
      },
    ],
    [
      "what both have in common, once",
      {
        ...{ releases: { c1: { web: "a", db: "digested" }, c2: { web: "a2", db: "digested" } }, target: "c2" },
        ...{ containers: { "c1/web": "running", "c1/db": "running" }, steps: [fetching("a2")] },
      },
      { release: "c1", update: "downloading", rows: { a: "Running", digested: "Running", a2: "Downloading 0" } },
    ],
    [
      "a service that is only called otherwise, as the one that runs",
      {
        ...{ releases: { c1: { api: "a" }, c2: { web: "a" } }, target: "c2", containers: { "c1/api": "running" } },
        steps: [waiting],
      },
      { release: "c1", update: "applying changes", rows: { a: "Running" } },
    ],
    [
      "a service that the new one has not, until it is gone",
      {
        ...{ releases: { c1: { web: "a", cron: "c" }, c2: { web: "a" } }, target: "c2", steps: [waiting] },
        containers: { "c2/web": "running", "c1/cron": "running" },
      },
      { update: "applying changes", rows: { a: "Running", c: "Running" } },
    ],
    [
      "nothing of an old one whose images are not known",
      {
        ...{ releases: { c1: one, c2: { web: "a2" } }, known: [], target: "c2", steps: [fetching("a2")] },
        containers: { "c1/web": "running" },
      },
      { release: undefined, update: "downloading", rows: { a2: "Downloading 0" } },
    ],
    [
      "nothing of an old one that it has refused",
      {
        ...{ releases: { c1: one, c2: { web: "a2" } }, targetOnly: true, target: "c2", steps: [fetching("a2")] },
        containers: { "c1/web": "running" },
      },
      { release: undefined, update: "downloading", rows: { a2: "Downloading 0" } },
    ],
    [
      "all of three, of which an update was overtaken by another",
      {
        releases: { c1: { web: "a", db: "b" }, c2: { web: "a2", db: "b" }, c3: { web: "a2", db: "b3" } },
        ...{ target: "c3", containers: { "c1/db": "running", "c2/web": "running" }, steps: [fetching("b3")] },
      },
      { update: "downloading", rows: { a2: "Running", b: "Running", b3: "Downloading 0" } },
    ],
    [
      "both sides of a hand-over",
      {
        ...{ releases: { c1: one, c2: { web: "a2" } }, target: "c2", steps: [waiting] },
        containers: { "c1/web": "handing over", "c2/web": "running" },
      },
      { update: "applying changes", rows: { a: "Handing over", a2: "Awaiting handover" } },
    ],
    [
      "what goes on running when a release is rejected",
      {
        ...{ releases: { c1: { web: "a", db: "b" }, c2: { web: "a2", db: "b" } }, target: "c2", rejected: true },
        containers: { "c1/web": "running", "c1/db": "running" },
      },
      { release: "c1", update: "rejected", rows: { a: "Running", b: "Running" } },
    ],
    [
      "nothing to run when the first release is rejected",
      { releases: { c1: one }, target: "c1", containers: {}, rejected: true },
      { release: undefined, update: "rejected", rows: {} },
    ],
    [
      "a download that has failed as one that goes on",
      {
        ...{ releases: { c1: one }, target: "c1", containers: {}, steps: [waiting] },
        downloads: { a: { is: "failed", reason: "no such image", retryAt: 1 } },
      },
      { update: "downloading", rows: { a: "Downloading 0" } },
    ],
    [
      "nothing of a fleet that has no release",
      { releases: {}, target: "", containers: {} },
      { release: undefined, update: undefined, rows: {} },
    ],
  ])("%s", async (_, scene, expected) => {
    expect(await told(scene)).toMatchObject({ status: 200, ...expected });
  });

  test("each release with its services, a shared image under both and with one status", () => {
    const releases = { c1: { api: "a", db: "b" }, c2: { web: "a", cache: "c" } };
    const containers = { "c1/api": "running", "c1/db": "running" } as const;
    expect(said({ releases, target: "c2", containers, steps: [fetching("c")] })).toEqual({
      c1: { api: "Running", db: "Running" },
      c2: { web: "Running", cache: "Downloading" },
    });
    expect(said({ releases, target: "c2", containers, rejected: true })).toEqual({
      c1: { api: "Running", db: "Running" },
      c2: { web: "Running" },
    });
  });
});

test("services of one release that share an image each keep their own status, which the public cloud does not support", () => {
  const releases = { c1: { web: "a", db: "b", cache: "b" }, c2: { web: "a2", db: "b", cache: "b" } };
  const containers = { "c1/web": "running", "c1/db": "exited", "c1/cache": "running" } as const;
  expect(said({ releases, target: "c2", containers, steps: [fetching("a2")] })).toEqual({
    c1: { web: "Running", db: "exited", cache: "Running" },
    c2: { web: "Downloading", db: "Downloaded", cache: "Downloaded" },
  });
});

test("the cloud accepts the report of any device and does not delete what runs", async () => {
  const images = fc.shuffledSubarray(["a", "b", "c", "digested"], { minLength: 1 });
  // A release has each image once.
  const services = fc
    .tuple(images, fc.shuffledSubarray(["web", "db", "cron", "api"], { minLength: 4 }))
    .map(([all, names]): Services => Object.fromEntries(all.map((image, n) => [names[n] ?? "", image])));
  const state = fc.constantFrom<Container["state"] | "handing over">("running", "exited", "created", "handing over");
  const scenes = fc
    .record({
      releases: fc.record({ c1: services, c2: services, c3: services }),
      target: fc.constantFrom("c1", "c2", "c3"),
      states: fc.array(fc.option(state), { minLength: 12, maxLength: 12 }),
      known: fc.subarray(["c1", "c2", "c3"]),
      rejected: fc.boolean(),
      targetOnly: fc.boolean(),
      steps: fc.constantFrom<readonly Step[]>([], [waiting]),
    })
    .map(({ states, ...scene }): Scene => {
      const all = Object.entries(scene.releases).flatMap(([commit, one]) =>
        Object.keys(one).map((name) => `${commit}/${name}`),
      );
      const containers = all.flatMap((key, n) => (states[n] ? [[key, states[n]] as const] : []));
      return { ...scene, containers: Object.fromEntries(containers) };
    });
  await fc.assert(
    fc.asyncProperty(scenes, async (scene) => {
      const { status, rows } = await told(scene);
      expect(status).toBe(200);
      if (scene.targetOnly) return;
      for (const [key, does] of Object.entries(scene.containers)) {
        const [commit = "", name = ""] = key.split("/");
        const isKnown = scene.known?.includes(commit) || commit === scene.target;
        const image = Object.entries(scene.releases).find(([one]) => one === commit)?.[1][name] ?? "";
        if (isKnown && does === "running" && !(scene.rejected && commit === scene.target))
          expect({ key, row: rows[image] }).not.toMatchObject({ row: expect.stringMatching(/^(Down|deleted)/) });
      }
    }),
    { numRuns: 1000 },
  );
});
