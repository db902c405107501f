import { describe, expect, test } from "vitest";
import { createRouter } from "../../core/http/router.ts";

const routes = [
  { method: "GET", path: "/v2/containerId" },
  { method: "GET", path: "/v1/apps/:appId" },
  { method: "POST", path: "/v1/apps/:appId/stop" },
  { method: "PATCH", path: "/v1/apps/:appId" },
  { method: "GET", path: "/v7/*" },
] as const;
const router = createRouter(routes, { ignoreCase: true });

const find = (method: string, path: string, which = router) => {
  const match = which.find({ method, url: `http://device${path}` });
  return match && { path: match.route.path, params: match.params, query: match.query };
};

describe("a router finds", () => {
  test.each([
    ["GET", "/v2/containerId", "/v2/containerId", {}],
    ["HEAD", "/v2/containerId", "/v2/containerId", {}],
    ["GET", "/V2/CONTAINERID/", "/v2/containerId", {}],
    ["POST", "/v1/apps/7/stop", "/v1/apps/:appId/stop", { appId: "7" }],
    ["GET", "/v1/apps/%zz", "/v1/apps/:appId", { appId: "%zz" }],
    ["GET", "/v1/apps/A%2Fb", "/v1/apps/:appId", { appId: "A%2Fb" }],
    ["GET", "/v1/./apps/x/../7", "/v1/apps/:appId", { appId: "7" }],
    ["GET", "/v7/device(1)/x", "/v7/*", {}],
    ["GET", "/v7", "/v7/*", {}],
  ])("%s %s", (method, path, found, params) => {
    expect(find(method, path)).toEqual({ path: found, params, query: {} });
  });

  test("query parameters, except those that are given more than once", () => {
    expect(find("GET", "/v2/containerId?service=a%20b&x=1&x=2&__proto__=p")?.query).toEqual(
      Object.fromEntries([
        ["service", "a b"],
        ["__proto__", "p"],
      ]),
    );
  });
});

test.each([
  ["POST", "/v2/containerId"],
  ["GET", "/v2/containerId//"],
  ["GET", "//v2/containerId"],
  ["GET", "/v1/apps/"],
  ["POST", "/v1/apps//stop"],
  ["GET", "/v1/apps/7/stop/more"],
  ["GET", "/v71"],
  ["GET", "/"],
])("a router finds nothing for %s %s", (method, path) => {
  expect(find(method, path)).toBeUndefined();
});

test("literal segments are case-sensitive by default", () => {
  expect(find("GET", "/v2/containerid", createRouter(routes))).toBeUndefined();
  expect(find("GET", "/v2/containerid")).toBeDefined();
});

test("the methods of a path include those of all its routes", () => {
  expect(router.methodsOf("/v1/apps/7")).toEqual(["GET", "PATCH"]);
  expect(router.methodsOf("/v1/none")).toEqual([]);
});
