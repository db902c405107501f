import * as z from "zod";
import { none, type Endpoint, type Replies, type Wire } from "./endpoint.ts";
import { common } from "./fields.ts";

type Described = Pick<
  Endpoint<unknown, unknown, Replies>,
  "method" | "path" | "summary" | "open" | "params" | "headers" | "body" | "replies"
>;

/** The endpoints as an OpenAPI 3.1 document; each one's name is its operationId. `shared`: replies of every endpoint. */
export const toOpenApi = (
  endpoints: Readonly<Record<string, Described>>,
  info: { title: string; version: string },
  shared: Replies = common,
) => ({
  openapi: "3.1.0",
  info,
  components: {
    securitySchemes: {
      header: { type: "http", scheme: "bearer" },
      query: { type: "apiKey", in: "query", name: "apikey" },
    },
  },
  security: [{ header: [] }, { query: [] }],
  paths: toPaths(endpoints, shared),
});

function toPaths(
  endpoints: Readonly<Record<string, Described>>,
  shared: Replies,
): Record<string, Record<string, object>> {
  const paths: Record<string, Record<string, object>> = {};
  for (const [operationId, endpoint] of Object.entries(endpoints)) {
    const path = endpoint.path.replace(/:(\w+)/g, "{$1}");
    (paths[path] ??= {})[endpoint.method.toLowerCase()] = { operationId, ...toOperation(endpoint, shared) };
  }
  return paths;
}

function toOperation({ path, summary, open, params, headers = [], body, replies }: Described, shared: Replies) {
  const { properties = {}, required = [] } = toJsonSchema(params, "input");
  // What a client accepts is said by the replies.
  const named = Object.entries(properties).filter(([name]) => name !== "accept");
  const parameters = named.map(([name, schema]) => {
    const inPath = path.includes(`:${name}`);
    const place = inPath ? "path" : headers.includes(name) ? "header" : "query";
    return { name, in: place, required: inPath || required.includes(name), schema };
  });
  const statuses = [...new Set([...Object.keys(replies), ...(open ? [] : Object.keys(shared))])].map(Number);
  return {
    summary,
    ...(open && { security: [] }),
    ...(parameters.length > 0 && { parameters }),
    ...(body !== none && { requestBody: { content: { "application/json": { schema: toJsonSchema(body, "input") } } } }),
    responses: Object.fromEntries(statuses.map((status) => [status, toResponse(wiresOf(replies, shared, status))])),
  };
}

/** A status may have the endpoint's own form and the shared one. */
const wiresOf = (replies: Replies, shared: Replies, status: number): Wire<unknown>[] =>
  [shared[status], replies[status]].filter((wire) => wire !== undefined);

function toResponse(wires: readonly Wire<unknown>[]) {
  const content = Object.fromEntries(
    wires.flatMap((wire) =>
      contentTypes(wire).map((type) => [type, wire.schema ? { schema: toJsonSchema(wire.schema, "output") } : {}]),
    ),
  );
  return { description: "", ...(Object.keys(content).length > 0 && { content }) };
}

const contentTypes = ({ type, contentType, contentTypes: forms, streamType }: Wire<unknown>): string[] => {
  if (forms) return forms.map((form) => form.split(";")[0] ?? form);
  switch (type) {
    case "mixed":
      return ["application/json", "text/plain"];
    case "empty":
      return [];
    case "json":
    case "text":
    case "stream":
      return [
        contentType?.split(";")[0] ?? "application/octet-stream",
        ...(streamType === undefined ? [] : [streamType]),
      ];
  }
};

const toJsonSchema = (schema: z.ZodType, io: "input" | "output") => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
};
