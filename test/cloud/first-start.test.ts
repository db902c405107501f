import { expect, test } from "vitest";
import type { Container } from "../../core/model/container.ts";
import { unseen } from "../../core/reconcile/current.ts";
import { plan } from "../../core/reconcile/plan.ts";
import { memoryIdentity } from "../../core/embedded/device.ts";
import { app, testDevice } from "../support/device.ts";
import { plainSpec } from "../compose/specs.ts";

/** An agent that nobody has told yet what should run: on a device of the original, or with a lost store. */

const container: Container = {
  id: "c",
  name: "web_1_1_c1",
  appId: 1,
  appUuid: "1",
  service: "web",
  serviceId: 1,
  state: "running",
  exitCode: 0,
  error: "",
  createdAt: "",
  startedAt: 1,
  finishedAt: 0,
  spec: plainSpec,
};

const current = {
  ...unseen(0, { ...memoryIdentity, uuid: "u", name: "n" }, true),
  containers: [container],
};

test("while nobody has said what should run, nothing is done to what does", () => {
  expect(plan(current, { name: "n", config: {}, apps: [], unset: true })).toEqual(new Map([["device", []]]));
});

test("as soon as somebody says that nothing should run, it goes", () => {
  const steps = plan(current, { name: "n", config: {}, apps: [] }).get(container.appId);
  expect(steps?.map(({ action }) => action)).toEqual(["takeLocks"]);
});

test("a device without a cloud keeps what it finds until a developer sets a target state", async () => {
  const first = await testDevice();
  await first.run({ "1": app({ web: {} }) });
  await first.stop();
  const second = await testDevice({ ports: { engine: first.engine } });
  await second.settled();
  const [found] = (await first.engine.look()).containers;
  expect(found?.state).toBe("running");
  expect((await second.get("/v2/state/status")).json).toMatchObject({
    appState: "applied",
    containers: [{ serviceName: "web", status: "Running" }],
  });
  await second.run({});
  expect((await first.engine.look()).containers).toEqual([]);
});
