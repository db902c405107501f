import { expect, test } from "vitest";
import { fingerprintOf } from "../../core/model/fingerprint.ts";
import { toSnapshot } from "../../core/model/snapshot.ts";
import type { App } from "../../core/model/target.ts";
import type { Snapshots } from "../../core/model/update.ts";
import type { CurrentState } from "../../core/reconcile/current.ts";
import type { UpdateFacts } from "../../core/model/update-facts.ts";
import { plan } from "../../core/reconcile/plan.ts";
import { app, device, downloading, held, inVain, running, sentences, target, volume } from "./literals.ts";

/** When volumes are copied before an update and restored after it, as sentences. */

const asked = { volumes: { data: { labels: { "io.balena.update.snapshot": "true", mine: "1" } } } };
const data = { volumes: ["data:/data"] };
const release = (version: string): App =>
  app({ web: { image: `web:${version}`, ...data }, reader: { image: "reader:1", ...data } }, asked);
const [old, next] = [release("1"), release("2")];
const web = (version: string) => running("web", `web:${version}`, data, asked);
const reader = running("reader", "reader:1", data, asked);
const all = held("reader", "web");
const images = ["web:1", "web:2", "reader:1"];
const here = volume("data", asked.volumes.data);
const copy = toSnapshot("1_data");

const updates = (record: UpdateFacts["record"]): CurrentState["updates"] =>
  new Map([
    [
      1,
      {
        committed: { app: old, fingerprint: fingerprintOf(old), images: {} },
        record,
        triedMs: 0,
      } satisfies UpdateFacts,
    ],
  ]);
const of = { fingerprint: fingerprintOf(next), commit: "c1" };
const trying = (snapshots?: Snapshots) => updates({ ...of, phase: "trying", attempts: 1, confirmed: [], snapshots });
const back = (snapshots?: Snapshots) =>
  updates({ ...of, phase: "back", failure: { message: "It failed" }, rejects: true, snapshots });
const due = { "1_data": "due" } as const;
const made = { "1_data": "made" } as const;

test("the record of an update names the volumes that its new containers will have", () => {
  const current = device([web("1"), reader], { images, volumes: [here], locks: all, updates: updates(undefined) });
  expect([...plan(current, target([next])).values()].flat()).toEqual([
    {
      action: "recordUpdate",
      appId: 1,
      record: { ...of, phase: "trying", attempts: 1, confirmed: [], snapshots: due },
    },
  ]);
});

test("a volume is copied after the last stop and before the first start, while no container has it", () => {
  const beside = { images, volumes: [here], locks: all, updates: trying(due) };
  expect(sentences(device([web("1"), reader], beside), next)).toEqual([expect.stringMatching(/^kill web \(/)]);
  expect(sentences(device([reader], beside), next)).toEqual(["kill reader (the data in its volume is copied)"]);
  expect(sentences(device([], beside), next)).toEqual(["copy volume 1_data"]);
  const after = { ...beside, volumes: [here, copy], updates: trying(made) };
  expect(sentences(device([], after), next)).toEqual(expect.arrayContaining(["install and start web"]));
});

test("it is restored after the last container of the failed release is gone, and before the first start", () => {
  const beside = { images, volumes: [here, copy], locks: all, updates: back(made) };
  expect(sentences(device([web("2"), reader], beside), next)).toEqual([expect.stringMatching(/^kill web \(/)]);
  expect(sentences(device([reader], beside), next)).toEqual(["kill reader (the data in its volume is copied)"]);
  expect(sentences(device([], beside), next)).toEqual(["restore volume 1_data"]);
  const after = { ...beside, updates: back({}) };
  expect(sentences(device([], after), next)).toEqual(
    expect.arrayContaining(["install and start web", "remove copy before_1_data"]),
  );
});

test("the locks are taken before a container is stopped for it", () => {
  const beside = { images, volumes: [here, copy], updates: back(made) };
  expect(sentences(device([reader], beside), next)).toEqual([
    "take the update locks of app 1",
    "… to kill reader (the data in its volume is copied)",
  ]);
});

test("a volume that a crash has removed comes back as the committed release defines it", () => {
  const beside = { images, volumes: [copy], locks: all };
  const specOf = (committed: App) => {
    const facts = { app: committed, fingerprint: "old", images: {} };
    const { record } = back(made).get(1) ?? {};
    const current = device([], { ...beside, updates: new Map([[1, { committed: facts, record }]]) });
    return [...plan(current, target([next])).values()].flat().find(({ action }) => action === "restoreVolume");
  };
  expect(specOf(old)).toMatchObject({ volume: "1_data", spec: { ...here.spec, labels: { mine: "1" } } });
  expect(specOf(app({ web: "web:1" }))).toMatchObject({ spec: { driver: "local", driverOptions: {} } });
});

test("the images are downloaded before, if there is none of which the engine could make its helpers", () => {
  const beside = { volumes: [here, copy], locks: all, updates: back(made) };
  expect(sentences(device([], beside), next)).toEqual(["fetch image web:1", "fetch image reader:1"]);
  // It is not settled meanwhile.
  const current = device([], { ...beside, downloads: downloading("web:1", "reader:1") });
  expect(sentences(current, next)).toEqual(["wait for image web:1", "wait for image reader:1"]);
});

test("a copy that was not made is not restored", () => {
  const beside = { images, volumes: [here], locks: all, updates: back(due) };
  expect(sentences(device([], beside), next)).toEqual(expect.arrayContaining(["install and start web"]));
});

test("copies without an update are removed, also in local mode", () => {
  const beside = { networks: [], volumes: [here, copy] };
  expect(sentences(device([], { ...beside, localMode: true }))).toEqual(["remove copy before_1_data"]);
  const foreign = { ...copy, spec: here.spec };
  expect(sentences(device([], { ...beside, volumes: [here, foreign] }))).toEqual([]);
});

test("a purge gives the copies up before anything else", () => {
  const purged = (record: CurrentState["updates"]) =>
    sentences(device([reader], { images, volumes: [here, copy], locks: all, updates: record }), {
      ...next,
      temporary: "purged",
    });
  for (const record of [trying(due), trying(made), back(made)])
    expect(purged(record)).toEqual(["give up the copy of volume 1_data (the application is purged)"]);
  for (const record of [trying({}), updates(undefined)])
    expect(purged(record)).toEqual(
      expect.arrayContaining(["kill reader (the application is purged)", "remove copy before_1_data"]),
    );
});

test("an application that leaves in the middle of an update gets its data back before it is forgotten", () => {
  const beside = { images, networks: [], volumes: [here, copy] };
  for (const updates of [trying(made), back(made)]) {
    expect(sentences(device([web("2"), reader], { ...beside, updates, locks: all }))).toEqual([
      "kill web (no longer in the target state)",
      "kill reader (no longer in the target state)",
    ]);
    expect(sentences(device([], { ...beside, updates }))).toEqual(["restore volume 1_data"]);
  }
  expect(sentences(device([], { ...beside, updates: back({}) }))).toEqual(
    expect.arrayContaining(["forget the committed release of app 1"]),
  );
  expect(sentences(device([], { ...beside, images: [], updates: back(made) }))).toEqual([
    "give up the copy of volume 1_data (no image is left with which it can be restored)",
  ]);
});

test("a release is not committed because a step for it was in vain", () => {
  const current = device([web("1"), reader], { images, volumes: [here], updates: updates(undefined) });
  expect(sentences(inVain(current, target([next])), next)).toEqual([
    'wait for another try to kill web (image: "web:1" → "web:2"), which made no difference',
  ]);
});
