import { describe as group, expect, test } from "vitest";
import { gate, withLocks, type GateState } from "../../core/reconcile/gate.ts";
import { describe, type Step } from "../../core/reconcile/step.ts";
import { device, exited, held, running } from "./literals.ts";

const open: GateState = { paused: false, outdated: false, stale: false, othersStale: false, failure: undefined };
const fetch: Step = { action: "fetch", image: { name: "db:2" }, appId: 1, service: "db", imageId: 1 };
const start: Step = { action: "start", id: "web", service: "web" };
const removeImage: Step = { action: "removeImage", name: "web:1" };
const wait: Step = { action: "wait", reason: "db to start" };
const steps = [fetch, start, removeImage, wait];

const gated = (state: Partial<GateState>) => {
  const { go, waiting } = gate(steps, { ...open, ...state });
  return [...go.map(describe), ...waiting.map(({ step, why }) => `${describe(step)}: ${why}`)];
};

group("the gate before steps are applied", () => {
  test("passes all steps if nothing prevents them", () => {
    expect(gated({})).toEqual(["fetch image db:2", "start web", "remove image web:1"]);
  });

  test.each<[string, Partial<GateState>]>([
    ["another target state has been set", { outdated: true, paused: true }],
    ["the device is about to reboot or shut down", { paused: true, stale: true }],
    ["steps are being applied", { stale: true, failure: "no space" }],
  ])("is closed for all steps, with the first of its reasons: %s", (why, state) => {
    expect(gated(state)).toEqual(
      ["fetch image db:2", "start web", "remove image web:1"].map((one) => `${one}: ${why}`),
    );
  });

  test("keeps images while steps of an application are being applied", () => {
    expect(gated({ othersStale: true })).toEqual([
      "fetch image db:2",
      "start web",
      "remove image web:1: steps of other applications are being applied",
    ]);
  });

  test("passes only downloads after a failure, since they have their own back-off", () => {
    expect(gated({ failure: "no space" })).toEqual([
      "fetch image db:2",
      "start web: no space",
      "remove image web:1: no space",
    ]);
  });
});

group("the gate of the update locks", () => {
  const kill: Step = { action: "kill", id: "web", service: "web", why: "image" };
  const db = exited("db", "db:1");

  test("replaces stops by one step that takes the locks of the whole application", () => {
    expect(withLocks([fetch, kill], 1, device([running("web", "web:1"), db]))).toEqual([
      fetch,
      { action: "takeLocks", appId: 1, services: ["db", "web"], stops: [kill] },
    ]);
  });

  test.each([
    ["when the locks are held", device([running("web", "web:1"), db], { locks: held("db", "web") })],
    ["when none of the containers runs", device([exited("web", "web:1"), db])],
  ])("passes stops %s", (_, current) => {
    expect(withLocks([fetch, kill], 1, current)).toEqual([fetch, kill]);
  });

  test("is not for other steps", () => {
    expect(withLocks([fetch, start], 1, device([running("web", "web:1")]))).toEqual([fetch, start]);
  });
});
