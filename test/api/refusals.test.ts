import { expect, test } from "vitest";
import { endpoints } from "../../core/api/index.ts";
import { app, testDevice } from "../support/device.ts";
import { failed, seen } from "./answers.ts";
import { managedDevice } from "./managed.ts";

const problem = "application/problem+json; charset=utf-8";

test("an error of v3 is a problem with a type, and names each invalid field", async () => {
  const device = await testDevice();
  expect(seen(await device.post("/v3/locks", { appId: 1, reason: "", ttl: 0 }))).toEqual({
    status: 400,
    type: problem,
    body: {
      type: "/docs/errors#invalid-request",
      title: "The request is invalid",
      status: 400,
      detail: "reason: expected a string that is not empty\nttl: expected a number of 1 or more",
      errors: [
        { path: "reason", message: "expected a string that is not empty" },
        { path: "ttl", message: "expected a number of 1 or more" },
      ],
    },
  });
  expect(seen(await device.get("/v3/apps/7/update"))).toMatchObject({
    ...{ status: 404, type: problem, body: { type: "/docs/errors#unknown-application", status: 404 } },
  });
});

test("errors before an endpoint is found have the form of the version in the path, in any case", async () => {
  const device = await managedDevice();
  expect(seen(await device.get("/V3/nope"))).toMatchObject({
    ...{ type: problem, body: { type: "/docs/errors#unauthorized" } },
  });
  const local = await testDevice();
  expect(seen(await local.get("/v3/nope"))).toMatchObject({ body: { type: "/docs/errors#unknown-endpoint" } });
  expect(seen(await local.get("/v3/apps/%zz/plan"))).toMatchObject({ body: { type: "/docs/errors#invalid-request" } });
  expect(seen(await local.get("/v30"))).toMatchObject({ type: "text/plain; charset=utf-8" });
});

test("an unforeseen error of v3 is a problem, too; v2 keeps its form", async () => {
  const device = await testDevice();
  await device.run({ "1": app({ web: {} }) });
  device.engine.top = () => Promise.reject(new Error("the engine has gone"));
  expect(seen(await device.get("/v3/apps/1/services/web/top"))).toMatchObject({
    ...{ status: 503, type: problem, body: { type: "/docs/errors#unavailable", detail: "the engine has gone" } },
  });
  expect(seen(await device.get("/v2/applications/9/state"))).toEqual(failed(409, "Application ID does not exist: 9"));
});

test("no endpoint of v1 and v2 declares problems, and no error of a newer path another form", () => {
  for (const { path, replies } of Object.values(endpoints))
    for (const [status, wire] of Object.entries(replies))
      if (Number(status) >= 400)
        expect([path, wire.contentType === problem]).toEqual([path, !/^\/(ping|v1|v2)\b/.test(path)]);
});
