import { expect, test } from "vitest";
import { plan } from "../../core/reconcile/plan.ts";
import { device, running, target } from "../reconcile/literals.ts";
import { app, testDevice } from "../support/device.ts";

/** An agent without a target state: on a device of the reference implementation, or with a lost store. */

const current = device([running("web", "web:1")]);

test("without a target state, running containers are not changed", () => {
  expect(plan(current, target([], { unset: true }))).toEqual(new Map([["device", []]]));
});

test("with an empty target state, running containers are removed", () => {
  const steps = plan(current, target([])).get(1);
  expect(steps?.map(({ action }) => action)).toEqual(["takeLocks"]);
});

test("a device without a cloud keeps existing containers until a developer sets a target state", async () => {
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
