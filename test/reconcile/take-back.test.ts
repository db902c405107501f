import { expect, test } from "vitest";
import { isHandingOver } from "../../core/model/names.ts";
import { app, testDevice, type TestDevice } from "../support/device.ts";
import { strategy } from "./literals.ts";

/** A release is withdrawn while its service hands over: the container that still serves is taken back, not replaced. */

const release = (image: string) => ({ "1": app({ web: { image, ...strategy("hand-over") } }, { commit: image }) });

const set = (device: TestDevice, apps: Record<string, object>) =>
  device.run(apps, { local: { name: "device", config: { SUPERVISOR_SAFE_UPDATES: "on" }, apps } });

/** The service hands over from web:1 to web:2, which takes its time. */
async function handingOver(): Promise<TestDevice> {
  const device = await testDevice();
  await set(device, release("web:1"));
  await set(device, release("web:2"));
  const names = (await device.engine.look()).containers.map(({ name }) => name.slice(0, 7)).toSorted();
  expect(names).toEqual(["old_web", "web_1_1"]);
  return device;
}

test("a predecessor is taken back: the same container, up all the time, with its name and restart policy", async () => {
  const device = await handingOver();
  const [before] = (await device.engine.look()).containers.filter(isHandingOver);
  expect(before).toMatchObject({ state: "running", spec: { restart: { name: "no" } } });
  await set(device, release("web:1"));
  const { containers } = await device.engine.look();
  expect(containers).toHaveLength(1);
  expect(containers[0]).toMatchObject({
    ...{ id: before?.id, startedAt: before?.startedAt, state: "running", name: "web_1_1_web:1" },
    spec: { restart: { name: "always", retries: 0 } },
  });
  expect(device.log.lines.join("\n")).toMatch(/Taking back service 'web .*', which ran on beside its successor/);
  expect(device.supervisor.loop.isSettled()).toBe(true);

  // The second try is no repeat of the first.
  await set(device, release("web:2"));
  expect((await device.engine.look()).containers.filter(isHandingOver).map(({ id }) => id)).toEqual([before?.id]);
});

test("an end of the agent between the two calls is made up for", async () => {
  const device = await handingOver();
  const [before] = (await device.engine.look()).containers.filter(isHandingOver);
  const rename = device.engine.renameContainer.bind(device.engine);
  device.engine.renameContainer = () => {
    device.engine.renameContainer = rename;
    return Promise.reject(new Error("the engine is gone"));
  };
  await set(device, release("web:1"));
  device.supervisor.loop.retry({ force: false });
  await device.settled();
  const { containers } = await device.engine.look();
  expect(containers.map(({ id, name }) => [id, name])).toEqual([[before?.id, "web_1_1_web:1"]]);
  expect(containers[0]?.spec.restart.name).toBe("always");
});
