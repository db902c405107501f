import * as z from "zod";
import type { accessOnDevice } from "./access.ts";
import { none, type Endpoint, type Replies, type Wire } from "./endpoint.ts";
import { commonOf, Failed } from "./fields.ts";
import { headersOf, repliesToHeaders, RunningOperation } from "./once.ts";
import { refusalType } from "./refusal.ts";
import { refusalTypes, type RefusalName } from "./refusal-types.ts";

type Described = Pick<
  Endpoint<unknown, unknown, Replies>,
  | "method"
  | "path"
  | "summary"
  | "open"
  | "writes"
  | "manages"
  | "params"
  | "headers"
  | "body"
  | "replies"
  | "repeats"
  | "secretAnswer"
  | "bodyLimitBytes"
> &
  Pick<Parameters<typeof accessOnDevice>[0], "scope" | "device" | "shell" | "person">;

/** What the endpoints of a surface have in common. */
interface Shared {
  /** The replies that an endpoint has besides its own. */
  readonly repliesOf: (endpoint: Described) => Replies;
  /** Request headers that an endpoint knows besides its own, and their descriptions. */
  readonly headersOf: (endpoint: Described) => Readonly<Record<string, string>>;
}

const ofDevice: Shared = {
  repliesOf: (endpoint) => ({ ...commonOf(endpoint), ...repliesToHeaders(endpoint) }),
  headersOf: (endpoint) => headersOf(endpoint, { isAsync: true }),
};

/** An exchange with an endpoint, or a request. */
export interface Example {
  readonly params?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  /** `type`: the media type, without parameters. */
  readonly answer?: { readonly status: number; readonly type?: string; readonly body?: unknown } | undefined;
}

interface About {
  readonly title: string;
  readonly version: string;
  readonly description?: string;
}

interface Options {
  readonly shared?: Shared;
  /** Who may use it. */
  readonly accessOf?: (endpoint: Described, name: string) => string;
  readonly examples?: Readonly<Record<string, Example>>;
}

/** The endpoints as an OpenAPI 3.1 document; each one's name is its operationId. */
export const toOpenApi = (
  endpoints: Readonly<Record<string, Described>>,
  { description = "", ...info }: About,
  options: Options = {},
) => {
  const schemas = new Schemas();
  const paths = toPaths(endpoints, options, schemas);
  return {
    openapi: "3.1.0" as const,
    info: { ...info, description, license },
    servers: [{ url: "/" }],
    tags: [...new Set(Object.values(endpoints).map(tagOf))].map((name) => ({ name, description: tags[name] ?? "" })),
    components: {
      securitySchemes: {
        header: { type: "http", scheme: "bearer" },
        query: { type: "apiKey", in: "query", name: "apikey" },
      },
      schemas: { Refusal, ...schemas.named },
    },
    security: [{ header: [] }, { query: [] }],
    paths,
  };
};

const license = { name: "Apache-2.0", identifier: "Apache-2.0" };

const tags: Readonly<Record<string, string>> = {
  device: "The device",
  v1: "Version 1 of the Supervisor API",
  v2: "Version 2 of the Supervisor API",
  v3: "Version 3, of this agent",
  administration: "Administration of the cloud",
  devices: "Between devices and cloud",
};

const tagOf = ({ path }: Described): string => {
  const [, first = ""] = path.split("/");
  return /^v\d$/.test(first)
    ? first
    : first === "admin"
      ? "administration"
      : ["device", "supervisor"].includes(first)
        ? "devices"
        : "device";
};

/** The schema of every refusal; `type` has other values for each. */
const Refusal = {
  type: "object",
  description: "Problem details (RFC 9457). Programs compare `type`, whose values are stable",
  properties: {
    type: { type: "string" },
    title: { type: "string", description: "The same for every error of the type" },
    status: { type: "integer" },
    detail: { type: "string", description: "What was expected, and what was got" },
    errors: {
      type: "array",
      description: "Of an invalid request: each invalid field",
      items: {
        type: "object",
        properties: { path: { type: "string" }, message: { type: "string" } },
        required: ["path", "message"],
      },
    },
  },
  required: ["type", "title", "status", "detail"],
};

function toPaths(
  endpoints: Readonly<Record<string, Described>>,
  { shared = ofDevice, accessOf, examples = {} }: Options,
  schemas: Schemas,
): Record<string, Record<string, object>> {
  const paths: Record<string, Record<string, object>> = {};
  for (const [operationId, endpoint] of Object.entries(endpoints)) {
    const path = endpoint.path.replace(/:(\w+)/g, "{$1}");
    const description = accessOf?.(endpoint, operationId);
    (paths[path] ??= {})[endpoint.method.toLowerCase()] = {
      operationId,
      tags: [tagOf(endpoint)],
      summary: endpoint.summary,
      ...(description !== undefined && { description }),
      ...toOperation(endpoint, { shared, example: examples[operationId] }, schemas.of(operationId)),
    };
  }
  return paths;
}

function toOperation(
  endpoint: Described,
  { shared: { repliesOf, headersOf }, example }: { readonly shared: Shared; readonly example: Example | undefined },
  schemas: SchemasOfOperation,
) {
  const { path, open, params, headers = [], body, bodyLimitBytes, replies } = endpoint;
  const shared = repliesOf(endpoint);
  const { properties = {}, required = [] } = schemas.ofParameters(params);
  // What a client accepts is said by the replies.
  const named = Object.entries(properties).filter(([name]) => name !== "accept");
  const parameters = named.map(([name, schema]) => {
    const inPath = path.includes(`:${name}`);
    const place = inPath ? "path" : headers.includes(name) ? "header" : "query";
    const given = example?.params?.[name];
    return {
      ...{ name, in: place, required: inPath || required.includes(name), schema },
      ...(given !== undefined && { example: given }),
    };
  });
  for (const [name, description] of Object.entries(headersOf(endpoint)))
    parameters.push({ name, in: "header", required: false, schema: { type: "string", description } });
  // Without a body there is none that is too large or of another type.
  const isShared = (status: string) => !(open && status === "401") && !(body === none && /^41[35]$/.test(status));
  const statuses = [...new Set([...Object.keys(replies), ...Object.keys(shared).filter(isShared)])].map(Number);
  return {
    ...(open && { security: [] }),
    ...(parameters.length > 0 && { parameters }),
    ...(body !== none && {
      requestBody: toRequestBody(schemas.ofBody(body), { bodyLimitBytes, example: example?.body }),
    }),
    responses: Object.fromEntries(
      statuses.map((status) => [
        status,
        toResponse(
          status,
          [shared[status], replies[status]].filter((wire) => wire !== undefined),
          schemas,
          example?.answer?.status === status ? example.answer : undefined,
        ),
      ]),
    ),
  };
}

function toRequestBody(
  { schema, required }: { readonly schema: JsonSchema; readonly required: boolean },
  { bodyLimitBytes, example }: { readonly bodyLimitBytes: number | undefined; readonly example: unknown },
) {
  return {
    ...(bodyLimitBytes !== undefined && { description: `At most ${bodyLimitBytes / 1024 / 1024} MiB` }),
    ...(required && { required }),
    content: { "application/json": { schema, ...(example !== undefined && { example }) } },
  };
}

/** A status may have the endpoint's own form and the shared one. */
function toResponse(
  status: number,
  wires: readonly Wire<unknown>[],
  schemas: SchemasOfOperation,
  example: Example["answer"],
) {
  const content: Record<string, MediaType> = {};
  for (const wire of wires)
    for (const [type, media] of mediaTypesOf(wire, status, schemas)) content[type] = merged(content[type], media);
  // One form of the answer has no body.
  if (wires.some(({ type }) => type === "empty"))
    for (const [type, media] of Object.entries(content)) content[type] = { ...media, "x-optional": true };
  const shown = example?.type === undefined ? undefined : content[example.type];
  if (shown && example?.type !== undefined) content[example.type] = { ...shown, example: example.body };
  const names = Object.values(content).flatMap(refusalNamesOf);
  const description =
    names.length > 0 ? names.map((name) => refusalTypes[name].title).join("; ") : (phrases[status] ?? "Refused");
  return { description, ...(Object.keys(content).length > 0 && { content }) };
}

interface MediaType {
  readonly schema: JsonSchema;
  readonly example?: unknown;
  /** The types of the refusals. */
  readonly "x-refusals"?: readonly RefusalName[];
  /** There may be no body at all, which OpenAPI cannot say. */
  readonly "x-optional"?: true;
  /** Of a stream: each line. OpenAPI 3.2 has `itemSchema` for it. */
  readonly "x-itemSchema"?: JsonSchema;
}
type JsonSchema = z.core.JSONSchema.BaseSchema;

const refusalNamesOf = (media: MediaType) => media["x-refusals"] ?? [];

/** Both of two forms of the same media type. */
function merged(first: MediaType | undefined, second: MediaType): MediaType {
  if (!first) return second;
  const names = [...new Set([...refusalNamesOf(first), ...refusalNamesOf(second)])];
  if (names.length > 0) return toRefusal(names);
  if (JSON.stringify(first) === JSON.stringify(second)) return first;
  return { ...first, ...second, schema: { anyOf: [first.schema, second.schema] } };
}

const toRefusal = (names: readonly RefusalName[]): MediaType => ({
  schema: {
    allOf: [
      { $ref: "#/components/schemas/Refusal" },
      { type: "object", properties: { type: { type: "string", enum: names.map((name) => `/docs/errors#${name}`) } } },
    ],
  },
  "x-refusals": names,
});

function mediaTypesOf(
  { type, contentType, contentTypes, streamType, schema, refusals }: Wire<unknown>,
  status: number,
  schemas: SchemasOfOperation,
): readonly (readonly [string, MediaType])[] {
  const isOptional = schema?.safeParse(undefined).success ?? false;
  const of = type === "stream" ? schemas.ofLine : schemas.ofAnswer;
  const own: MediaType = {
    schema: schema ? of(schema, status) : {},
    ...(isOptional && { "x-optional": true }),
  };
  switch (type) {
    case "mixed":
      return [
        ["application/json", own],
        ["text/plain", own],
      ];
    case "empty":
      return [];
    case "stream":
      return [[bare(contentType), { schema: { type: "string" }, ...(schema && { "x-itemSchema": own.schema }) }]];
    case "json": {
      if (contentType === refusalType && refusals) return [[bare(contentType), toRefusal(refusals)]];
      const streams: readonly [string, MediaType][] =
        streamType === undefined ? [] : [[streamType, { schema: { type: "string" } }]];
      return [[bare(contentType), own], ...streams];
    }
    case "text":
      return (contentTypes ?? [contentType]).map((one) => [bare(one), own]);
  }
}

const bare = (contentType = "application/octet-stream"): string => contentType.split(";")[0] ?? "";

const phrases: Readonly<Record<number, string>> = {
  200: "Success",
  201: "Created",
  202: "Accepted; it is done after the answer",
  204: "Done",
  207: "The answer of each device",
  400: "The request is invalid",
  401: "A valid credential is required",
  403: "Not allowed",
  404: "There is no such thing",
  409: "Not possible in the current state",
  413: "The body is too large",
  415: "The body has an unsupported form",
  421: "The request is for another host",
  423: "An update lock is held",
  501: "The device cannot do this",
  502: "The device has not answered",
  503: "Not possible now",
  504: "The device has not answered in time",
};

/**
 * The JSON Schemas of a document. The body and the answer of an operation are named after it: the body of `setTags` is a
 * `SetTagsBody`, and its answer a `SetTagsAnswer`.
 */
class Schemas {
  readonly named: Record<string, JsonSchema> = {};
  readonly #made = { input: new Map<z.ZodType, JsonSchema>(), output: new Map<z.ZodType, JsonSchema>() };
  readonly #shared: ReadonlyMap<z.ZodType | undefined, string> = new Map([
    [Failed.schema, "Failed"],
    [RunningOperation, "RunningOperation"],
  ]);

  of(operationId: string) {
    const name = operationId.replace(/^./, (letter) => letter.toUpperCase());
    return {
      ofParameters: (schema: z.ZodType) => this.#convert(schema, "input"),
      ofBody: (schema: z.ZodType) => {
        const { required = [] } = this.#convert(schema, "input");
        return { schema: this.#refer(schema, "input", `${name}Body`), required: required.length > 0 };
      },
      ofAnswer: (schema: z.ZodType, status: number) =>
        this.#refer(schema, "output", status < 300 ? `${name}Answer` : undefined),
      /** Of a stream, of which OpenAPI knows no lines. */
      ofLine: (schema: z.ZodType) => this.#convert(schema, "output"),
    };
  }

  #refer(schema: z.ZodType, io: "input" | "output", ownName: string | undefined): JsonSchema {
    const made = this.#convert(schema, io);
    const name = this.#shared.get(schema) ?? (made.properties === undefined ? undefined : ownName);
    if (name === undefined || (this.named[name] ?? made) !== made) return made;
    this.named[name] = made;
    return { $ref: `#/components/schemas/${name}` };
  }

  #convert(schema: z.ZodType, io: "input" | "output"): JsonSchema {
    const known = this.#made[io].get(schema);
    if (known) return known;
    const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any", override: simplify });
    this.#made[io].set(schema, rest);
    return rest;
  }
}

type SchemasOfOperation = ReturnType<Schemas["of"]>;

/** A format, or an encoding, says what the pattern for it says. */
function simplify({ jsonSchema }: { readonly jsonSchema: JsonSchema }): void {
  const { format, contentEncoding } = jsonSchema;
  if (format !== undefined) delete jsonSchema.pattern;
  if (format === contentEncoding) delete jsonSchema.format;
}
