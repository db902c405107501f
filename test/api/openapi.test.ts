import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { accessOnDevice } from "../../core/api/access.ts";
import { deviceExamples } from "../../core/api/examples/device.ts";
import { endpoints } from "../../core/api/index.ts";
import { toOpenApi } from "../../core/api/openapi.ts";
import { createContract } from "../support/contract.ts";
import { testDevice } from "../support/device.ts";

const document = toOpenApi(
  endpoints,
  { title: "Fairlead", version: "1" },
  { accessOf: accessOnDevice, examples: deviceExamples },
);

const Content = z.object({
  description: z.string().default(""),
  content: z.record(z.string(), z.object({ schema: z.looseObject({}), example: z.unknown().optional() })).optional(),
});
const Operation = z.object({
  operationId: z.string(),
  tags: z.array(z.string()).length(1),
  summary: z.string(),
  description: z.string(),
  parameters: z
    .array(z.object({ name: z.string(), in: z.string(), schema: z.looseObject({}), example: z.unknown().optional() }))
    .optional(),
  requestBody: Content.optional(),
  responses: z.record(z.string(), Content),
});

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
    expect(document.components.schemas).toMatchObject({
      StopBody: { type: "object", properties: { force: {} } },
      StopAnswer: { properties: { containerId: { type: "string" } } },
      Failed: { properties: { status: { const: "failed" } } },
    });
    expect(document.paths["/v1/apps/{appId}/stop"]?.["post"]).toMatchObject({
      operationId: "stop",
      parameters: [
        { name: "appId", in: "path", required: true },
        { name: "Idempotency-Key", in: "header", required: false },
        { name: "Prefer", in: "header", required: false },
      ],
      requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/StopBody" } } } },
      responses: {
        200: { content: { "application/json": { schema: { $ref: "#/components/schemas/StopAnswer" } } } },
        400: {
          content: {
            "text/plain": { schema: { enum: expect.arrayContaining(["Invalid app id"]) } },
            "application/json": { schema: { $ref: "#/components/schemas/Failed" } },
          },
        },
        202: { content: { "application/json": { schema: { $ref: "#/components/schemas/RunningOperation" } } } },
        409: { content: { "application/problem+json": {} } },
        422: { content: { "application/problem+json": {} } },
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

describe("the document", () => {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, ...Operation.parse(operation) })),
  );

  test("is answered by the device, and made of every endpoint", async () => {
    const device = await testDevice();
    const { status, json } = await device.get("/openapi.json");
    expect(status).toBe(200);
    expect(Object(json).paths).toEqual(document.paths);
  });

  test("has a tag, a summary and described answers for each operation", () => {
    const tags = document.tags.map(({ name }) => name);
    for (const { operationId, ...operation } of operations) {
      expect([operationId, tags]).toEqual([operationId, expect.arrayContaining(operation.tags)]);
      expect([operationId, operation.summary]).toEqual([operationId, expect.stringMatching(/^\S.*[^.]$/)]);
      for (const [status, { description }] of Object.entries(operation.responses))
        expect([operationId, status, description]).toEqual([operationId, status, expect.stringMatching(/\S/)]);
    }
  });

  test("has each parameter of a path", () => {
    for (const { path, parameters = [] } of operations)
      expect(parameters.flatMap((one) => (one.in === "path" ? [`{${one.name}}`] : [])).sort()).toEqual(
        (path.match(/\{\w+\}/g) ?? []).sort(),
      );
  });

  test("has schemas that JSON Schema 2020-12 allows", () => {
    const ajv = new Ajv2020({ strict: false });
    formats.default(ajv);
    ajv.addSchema({ $id: "document", ...document });
    for (const { operationId, responses, requestBody, parameters = [] } of operations)
      for (const schema of [
        ...[...Object.values(responses), ...(requestBody ? [requestBody] : [])].flatMap(({ content = {} }) =>
          Object.values(content).map((media) => media.schema),
        ),
        ...parameters.map((one) => one.schema),
      ])
        expect([operationId, ajv.validateSchema(schema)]).toEqual([operationId, true]);
  });

  test("has an exchange with each operation as its example, which fits what is declared", async () => {
    const contract = createContract(document, new Ajv2020({ strict: false }), formats.default);
    const ajv = new Ajv2020({ strict: false });
    formats.default(ajv);
    for (const [operationId, { answer, body }] of Object.entries(deviceExamples)) {
      const operation = contract.operations.find((one) => one.operationId === operationId);
      const { parameters = [], requestBody } = operations.find((one) => one.operationId === operationId) ?? {};
      if (!operation || !answer) throw new Error(`${operationId} has no example`);
      const { status, type, body: said } = answer;
      const text = type === "application/json" ? JSON.stringify(said) : said;
      await contract.check(
        operation,
        new Response(typeof text === "string" ? text : null, {
          status,
          headers: type === undefined ? {} : { "content-type": type },
        }),
      );
      for (const { name, schema, example, in: place } of parameters) {
        if (place === "path") expect([operationId, name, example]).not.toContain(undefined);
        if (example !== undefined)
          expect([operationId, name, ajv.validate(schema, example), example]).toEqual([
            operationId,
            name,
            true,
            example,
          ]);
      }
      const sent = requestBody?.content?.["application/json"];
      expect([operationId, sent?.example]).toEqual([operationId, body]);
      if (operation.bodySchema && body !== undefined)
        expect([operationId, ajv.validate(operation.bodySchema, body)]).toEqual([operationId, true]);
    }
  });

  test("says who may use an operation", () => {
    expect(document.paths["/v1/apps/{appId}/stop"]?.["post"]).toMatchObject({
      description: "May: the global key; the key of a service, for its own application. Through the cloud: `--write`",
    });
  });

  test("names the types of each refusal", () => {
    expect(document.paths["/v3/locks"]?.["post"]).toMatchObject({
      responses: {
        401: {
          description: "A valid credential is required; The key is not for this",
          content: {
            "application/problem+json": {
              schema: {
                allOf: [
                  { $ref: "#/components/schemas/Refusal" },
                  { properties: { type: { enum: ["/docs/errors#unauthorized", "/docs/errors#outside-scope"] } } },
                ],
              },
            },
          },
        },
        423: { content: { "application/problem+json": {} } },
      },
    });
  });

  test("describes streams by their lines", () => {
    expect(document.paths["/v3/logs"]?.["get"]).toMatchObject({
      responses: {
        200: {
          content: { "application/x-ndjson": { "x-itemSchema": { properties: { service: { type: "string" } } } } },
        },
      },
    });
    expect(document.paths["/v3/events"]?.["get"]).toMatchObject({
      responses: { 200: { content: { "application/json": {}, "text/event-stream": { schema: { type: "string" } } } } },
    });
  });
});
