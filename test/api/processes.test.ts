import { expect, test } from "vitest";
import { everything } from "../../core/model/scope.ts";
import { app, testDevice } from "../support/device.ts";
import { json, refused, seen } from "./answers.ts";

const twoServices = async () => {
  const device = await testDevice({ program: () => ({}) });
  await device.run({ "1": app({ web: { command: "serve --password hunter2" }, db: {} }) });
  return device;
};

test("the processes of a service are those of its container", async () => {
  const device = await twoServices();
  expect(seen(await device.get("/v3/apps/1/services/web/top"))).toEqual(
    json(200, { titles: ["PID", "USER", "COMMAND"], processes: [["1", "root", "serve --password hunter2"]] }),
  );
});

test("without secrets, the arguments of processes are left out", async () => {
  const device = await twoServices();
  const request = new Request("http://device/v3/apps/1/services/web/top");
  const response = await device.fetch(request, { scope: { ...everything, secrets: "none" } });
  expect(await response.json()).toMatchObject({ processes: [["1", "root", "serve"]] });
});

test.each([
  [
    "/v3/apps/1/services/wbe/top",
    "unknown-service",
    'Application 1 has no container of a service "wbe", only of: db, web',
  ],
  ["/v3/apps/2/services/web/top", "unknown-service", "This device has no containers of an application 2"],
  ["/v3/apps/2/stats", "unknown-application", "This device has no containers of an application 2"],
] as const)("%s is answered %s: %s", async (path, name, message) => {
  const device = await twoServices();
  expect(seen(await device.get(path))).toEqual(refused(name, message));
});

test("a stopped service has no processes, and no use", async () => {
  const device = await twoServices();
  await device.post("/v2/applications/1/stop-service", { serviceName: "web" });
  expect(seen(await device.get("/v3/apps/1/services/web/top"))).toEqual(
    refused("not-running", "Service web does not run: the state of its container is exited"),
  );
  expect(Object.keys(Object(Object((await device.get("/v3/apps/1/stats")).json).services))).toEqual(["db"]);
});

test("the engine is asked for the use of each running service once, and only when a caller asks", async () => {
  const device = await twoServices();
  const { stats } = device.engine;
  const asked: string[] = [];
  device.engine.stats = (id) => {
    asked.push(id);
    return stats.call(device.engine, id);
  };
  const answer = await device.get("/v3/apps/1/stats");
  expect(answer.json).toMatchObject({
    services: { web: { cpuPercent: 1, processes: 1 }, db: { memoryBytes: 1048576 } },
  });
  expect(asked.toSorted()).toEqual([(await device.container("db")).id, (await device.container("web")).id].toSorted());
});
