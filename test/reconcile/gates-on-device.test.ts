import { expect, test } from "vitest";
import { app, testDevice, type TestDevice } from "../support/device.ts";

/** Updates with gates, on a device in memory. */

const release = (commit: string, services: Record<string, object>) => ({ "1": app(services, { commit }) });

async function set(device: TestDevice, apps: Record<string, object>): Promise<void> {
  await device.run(apps, { local: { name: "device", config: { SUPERVISOR_SAFE_UPDATES: "on" }, apps } });
}

const committed = (device: TestDevice) => device.supervisor.updates.committedOf(1)?.commit;
const phase = (device: TestDevice) => device.supervisor.updates.recordOf(1)?.phase;

test("an http gate is asked while the update is tried, and only then", async () => {
  const asked: string[] = [];
  let status = 503;
  const device = await testDevice({
    program: () => ({
      status: (port, path) => {
        asked.push(`${port}${path}`);
        return status;
      },
    }),
  });
  const labels = { "io.balena.update.http": "8080/healthz", "io.balena.update.monitor": "100ms" };
  await set(device, release("c1", { web: { image: "web:1", labels } }));
  await expect.poll(() => committed(device)).toBe("c1");
  expect(asked).toEqual([]);

  await set(device, release("c2", { web: { image: "web:2", labels } }));
  const plan = () => JSON.stringify([...device.supervisor.view().plan.values()]);
  await expect.poll(plan).toContain("http: answers 503");
  expect([...new Set(asked)]).toEqual(["8080/healthz"]);
  expect([committed(device), phase(device)]).toEqual(["c1", "trying"]);
  status = 200;
  await expect.poll(() => committed(device), { timeout: 10_000 }).toBe("c2");
  const { length } = asked;
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(asked).toHaveLength(length);
});

test("exits before an update do not count in it, also of a service that stays", async () => {
  const device = await testDevice({
    restartMs: 5,
    program: ({ service, restarts }) => (service === "flaky" && restarts < 3 ? { exit: { code: 1, afterMs: 5 } } : {}),
  });
  const flaky = { image: "flaky:1", labels: { "io.balena.update.monitor": "100ms" } };
  await set(device, release("c1", { web: { image: "web:1" }, flaky }));
  await expect.poll(async () => (await device.container("flaky")).restarts).toBe(3);
  await expect.poll(() => committed(device)).toBe("c1");
  await set(device, release("c2", { web: { image: "web:2" }, flaky }));
  await expect.poll(() => committed(device), { timeout: 10_000 }).toBe("c2");
  expect(phase(device)).toBeUndefined();
});
