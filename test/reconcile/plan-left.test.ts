import { expect, test } from "vitest";
import type { Container } from "../../core/model/container.ts";
import type { App, LeftApp, TargetState } from "../../core/model/target.ts";
import type { Volume } from "../../core/model/network.ts";
import { unseen, type CurrentState } from "../../core/reconcile/current.ts";
import { plan } from "../../core/reconcile/plan.ts";
import { describe } from "../../core/reconcile/step.ts";
import { plainSpec } from "../compose/specs.ts";
import { device as facts, parsedApp } from "../support/specs.ts";

/** When the volumes of an application that the device has left are removed, and when they are not. */

const left = (more: Partial<LeftApp> = {}): LeftApp => ({
  appId: 1,
  uuid: "u1",
  name: "old",
  confirmed: true,
  ...more,
});

const volume = (name: string, labels: Record<string, string> = {}): Volume => ({
  name,
  spec: {
    driver: "local",
    driverOptions: {},
    labels: { "io.balena.supervised": "true", "io.balena.app-uuid": "u1", ...labels },
  },
});

const container = (appId: number, more: Partial<Container> = {}): Container => ({
  ...{
    id: `c${appId}`,
    name: "web_1_1_c1",
    appId,
    appUuid: `u${appId}`,
    service: "web",
    serviceId: 1,
    state: "exited",
  },
  ...{
    exitCode: 0,
    error: "",
    createdAt: "",
    startedAt: 1,
    finishedAt: 1,
    restarts: 0,
    addresses: {},
    spec: plainSpec,
  },
  ...more,
});

/** A second application without anything to do, beside the first, which the device has left. */
const settled: App = {
  ...parsedApp(2, { web: {} }),
  uuid: "u2",
  temporary: "stopped",
  networks: {},
  volumes: {},
};

function steps(more: Partial<CurrentState> = {}, target: Partial<TargetState> = {}): string[] {
  const current: CurrentState = {
    ...unseen(0, facts, false),
    volumes: [volume("1_data"), volume("1_cache")],
    announcedVolumes: new Set(["1_data", "1_cache"]),
    ...more,
  };
  return (plan(current, { name: "n", config: {}, apps: [settled], left: [left()], ...target }).get(1) ?? []).map(
    describe,
  );
}

test("once another application runs, and the cloud has confirmed it, they are removed", () => {
  expect(steps()).toEqual(["remove volume 1_data", "remove volume 1_cache"]);
});

test("the removal is announced before it happens, also before the cloud has confirmed it", () => {
  const said = ["announce that volumes of app 1 will be removed: 1_data, 1_cache"];
  expect(steps({ announcedVolumes: new Set() })).toEqual(said);
  expect(steps({ announcedVolumes: new Set() }, { left: [left({ confirmed: false })] })).toEqual(said);
  expect(steps({ announcedVolumes: new Set(["1_data"]) })).toEqual([
    "announce that volumes of app 1 will be removed: 1_cache",
  ]);
});

test.each<[string, Partial<CurrentState>, Partial<TargetState>]>([
  ["the cloud has not confirmed it", {}, { left: [left({ confirmed: false })] }],
  ["the application never came from the cloud", {}, { left: [] }],
  ["there is no target state yet", {}, { unset: true }],
  ["the device is in local mode", { localMode: true }, {}],
  ["no other application has taken its place", {}, { apps: [] }],
  ["the other one has no services", {}, { apps: [{ ...settled, services: [] }] }],
  ["the other one has no release yet", {}, { apps: [{ ...settled, commit: "", services: [] }] }],
  ["the other one does not run yet", {}, { apps: [{ ...parsedApp(2, { web: {} }), uuid: "u2" }] }],
  ["the other one's release is rejected", {}, { apps: [{ ...settled, rejected: "web: no" }] }],
  [
    "they are of a developer's application with that id",
    { volumes: [volume("1_data", { "io.balena.app-uuid": "1" })] },
    {},
  ],
  [
    "another program has made them",
    { volumes: [{ name: "1_data", spec: { driver: "local", driverOptions: {}, labels: {} } }] },
    {},
  ],
  [
    "a container uses them",
    {
      volumes: [volume("1_data")],
      containers: [
        container(3, {
          spec: {
            ...plainSpec,
            mounts: [{ type: "volume", source: "1_data", target: "/d", readOnly: false, options: "" }],
          },
        }),
      ],
    },
    {},
  ],
])("they stay if %s", (_, current, target) => {
  expect(steps(current, target).filter((step) => step.startsWith("remove volume"))).toEqual([]);
});

test("they stay while its containers exist", () => {
  expect(steps({ containers: [container(1)] })).toEqual(["kill web (no longer in the target state)"]);
});

test("the application is forgotten once all volumes are removed", () => {
  expect(steps({ volumes: [] })).toEqual(["forget app 1"]);
  expect(steps({ volumes: [] }, { left: [left({ confirmed: false })] })).toEqual([]);
});

test("a device that has left no application has no such steps", () => {
  const current = { ...unseen(0, facts, false), volumes: [volume("1_data")] };
  expect(plan(current, { name: "n", config: {}, apps: [settled] }).has(1)).toBe(false);
});

test("a volume of an older agent, without the application's uuid, belongs to the application", () => {
  const { name, spec } = volume("1_data");
  const volumes = [{ name, spec: { ...spec, labels: { "io.balena.supervised": "true" } } }];
  expect(steps({ volumes })).toEqual(["remove volume 1_data"]);
});
