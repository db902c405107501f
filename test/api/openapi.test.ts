import { describe, expect, test } from "vitest";
import { endpoints } from "../../core/api/index.ts";
import { toOpenApi } from "../../core/api/openapi.ts";

const document = toOpenApi(endpoints, { title: "Fairlead", version: "1" });

/** Every endpoint as "GET /v1/apps/{appId}", in order. */
const described = Object.entries(document.paths)
  .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`))
  .sort();

test("exactly the routes are described", () => {
  expect(described).toEqual(
    Object.values(endpoints)
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`)
      .sort(),
  );
});

test("operations have the names of their endpoints", () => {
  const ids = Object.values(document.paths).flatMap((methods) =>
    Object.values(methods).map((operation) => ("operationId" in operation ? operation.operationId : undefined)),
  );
  expect(ids.sort()).toEqual(Object.keys(endpoints).sort());
});

test("the document consists of plain JSON values", () => {
  expect(JSON.parse(JSON.stringify(document))).toEqual(document);
});

describe("an operation", () => {
  test("has its parameters, its body and its answers", () => {
    expect(document.paths["/v1/apps/{appId}/stop"]?.["post"]).toMatchObject({
      operationId: "stop",
      parameters: [{ name: "appId", in: "path", required: true }],
      requestBody: { content: { "application/json": { schema: { type: "object", properties: { force: {} } } } } },
      responses: {
        200: { content: { "application/json": { schema: { properties: { containerId: { type: "string" } } } } } },
        400: {
          content: {
            "text/plain": { schema: { enum: expect.arrayContaining(["Invalid app id"]) } },
            "application/json": { schema: { properties: { status: { const: "failed" } } } },
          },
        },
        423: { content: { "application/json": {} } },
      },
    });
  });

  test("has its query parameters", () => {
    expect(document.paths["/v2/containerId"]?.["get"]).toMatchObject({
      parameters: [
        { name: "service", in: "query", required: false },
        { name: "serviceName", in: "query", required: false },
      ],
    });
  });

  test("needs a key unless it is public", () => {
    expect(document.security).toEqual([{ header: [] }, { query: [] }]);
    expect(document.paths["/ping"]?.["get"]).toMatchObject({ security: [] });
    expect(document.paths["/v2/version"]?.["get"]).not.toHaveProperty("security");
    expect(document.paths["/v2/version"]?.["get"]).toMatchObject({ responses: { 401: {} } });
  });
});
