import type { Ajv2020 } from "ajv/dist/2020.js";
import type { FormatsPlugin } from "ajv-formats";
import fc from "fast-check";
import * as z from "zod";

/** An OpenAPI document as a contract: requests that it allows or nearly allows, and a check of each answer. */

const Media = z.object({ schema: z.looseObject({}), "x-optional": z.literal(true).optional() });
const Parameter = z.object({ name: z.string(), in: z.string(), required: z.boolean(), schema: z.looseObject({}) });
const OperationObject = z.object({
  operationId: z.string(),
  security: z.array(z.unknown()).optional(),
  parameters: z.array(Parameter).default([]),
  requestBody: z.object({ content: z.record(z.string(), Media) }).optional(),
  responses: z.record(z.string(), z.object({ content: z.record(z.string(), Media).optional() })),
});
const Document = z.looseObject({
  components: z.object({ schemas: z.record(z.string(), z.looseObject({})) }),
  paths: z.record(z.string(), z.record(z.string(), OperationObject)),
});

export interface Operation extends z.output<typeof OperationObject> {
  readonly method: string;
  readonly path: string;
  readonly isOpen: boolean;
  readonly bodySchema: Schema | undefined;
}

export interface Asked {
  readonly operation: Operation;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Contract {
  readonly operations: readonly Operation[];
  /** Throws if the answer is not one that the operation declares. */
  readonly check: (operation: Operation, answer: Response) => Promise<void>;
}

export function createContract(json: unknown, ajv: Ajv2020, addFormats: FormatsPlugin): Contract {
  const document = Document.parse(json);
  const schemaOf = (media: z.output<typeof Media> | undefined): Schema | undefined =>
    typeof media?.schema["$ref"] === "string"
      ? document.components.schemas[media.schema["$ref"].replace("#/components/schemas/", "")]
      : media?.schema;
  addFormats(ajv);
  ajv.addSchema(document, "document");
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      ...{ method: method.toUpperCase(), path, isOpen: operation.security?.length === 0 },
      bodySchema: schemaOf(Object.values(operation.requestBody?.content ?? {})[0]),
    })),
  );
  const pointer = (path: string) => path.replaceAll("~", "~0").replaceAll("/", "~1");
  return {
    operations,
    async check({ path, method, operationId, responses }, answer) {
      const type = answer.headers.get("content-type")?.split(";")[0];
      // A stream may go on for ever.
      const isStream = type !== undefined && /ndjson|event-stream/.test(type);
      if (isStream) await answer.body?.cancel();
      const text = isStream ? "" : await answer.text();
      const said = `${operationId} answered ${answer.status} ${type ?? ""}: ${text.slice(0, 300)}`;
      const declared = responses[answer.status];
      if (!declared) throw new Error(`${said}\nThe status is not declared`);
      if (type === undefined) {
        const isOptional = Object.values(declared.content ?? {}).every((media) => media["x-optional"]);
        if (!isOptional || text !== "") throw new Error(`${said}\nA body is declared`);
        return;
      }
      if (!declared.content?.[type]) throw new Error(`${said}\nThe media type is not declared`);
      if (isStream) return;
      const value: unknown = type.endsWith("json") ? JSON.parse(text) : text;
      const place = [
        "paths",
        path,
        method.toLowerCase(),
        "responses",
        String(answer.status),
        "content",
        type,
        "schema",
      ];
      const validate = ajv.getSchema(`document#/${place.map(pointer).map(encodeURIComponent).join("/")}`);
      if (!validate) throw new Error(`${said}\nThere is no schema`);
      if (validate(value) !== true) throw new Error(`${said}\nIt does not fit: ${ajv.errorsText(validate.errors)}`);
    },
  };
}

const word = fc.constantFrom("1", "2", "one", "web", "true", "0", "-1", "all", "latest", "", "§", "%");
const odd: fc.Arbitrary<unknown> = fc.oneof(word, fc.integer({ min: -2, max: 5 }), fc.jsonValue({ maxDepth: 1 }));

type Schema = Readonly<Record<string, unknown>>;
const SchemaParts = z.object({
  type: z.unknown().optional(),
  const: z.unknown().optional(),
  enum: z.array(z.unknown()).optional(),
  anyOf: z.array(z.looseObject({})).optional(),
  items: z.looseObject({}).optional(),
  properties: z.record(z.string(), z.looseObject({})).optional(),
  required: z.array(z.string()).default([]),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
});

/** Values of a schema, in nine of ten cases; ids are those of things that may exist. */
function valuesOf(schema: Schema): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 19, arbitrary: validOf(schema) }, { weight: 1, arbitrary: odd });
}

function validOf(schema: Schema): fc.Arbitrary<unknown> {
  const parts = SchemaParts.parse(schema);
  if ("const" in schema) return fc.constant(parts.const);
  if (parts.enum) return fc.constantFrom(...parts.enum);
  if (parts.anyOf) return fc.oneof(...parts.anyOf.map(validOf));
  switch (parts.type) {
    case "object":
      return fc.record(
        Object.fromEntries(Object.entries(parts.properties ?? {}).map(([name, one]) => [name, valuesOf(one)])),
        { requiredKeys: parts.required.filter((name) => parts.properties?.[name]) },
      );
    case "array":
      return fc.array(parts.items ? valuesOf(parts.items) : odd, { maxLength: 3 });
    case "integer":
    case "number": {
      const min = Math.max(parts.minimum ?? 0, 0);
      return fc.integer({ min, max: Math.max(min, Math.min(parts.maximum ?? 5, min + 5)) });
    }
    case "boolean":
      return fc.boolean();
    case "string":
      return fc.oneof(word, fc.string({ maxLength: 8 }));
    default:
      return odd;
  }
}

const textOf = (value: unknown): string =>
  (typeof value === "object" ? JSON.stringify(value) : String(value)).toWellFormed();

/** A URL drops empty segments, and those of dots. */
const segmentOf = (text: string): string => (/^\.{0,2}$/.test(text) ? "0" : encodeURIComponent(text));

/** Requests to any of the operations. */
export const requestsOf = (operations: readonly Operation[]): fc.Arbitrary<Asked> =>
  fc.constantFrom(...operations).chain((operation) => {
    const { parameters, bodySchema, method } = operation;
    const named = fc.record(Object.fromEntries(parameters.map(({ name, schema }) => [name, valuesOf(schema)])), {
      requiredKeys: parameters.filter(({ required }) => required).map(({ name }) => name),
    });
    const body = bodySchema ? valuesOf(bodySchema).map((value) => JSON.stringify(value)) : fc.constant(undefined);
    const cut = fc.oneof({ weight: 19, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) });
    return fc.tuple(named, body, cut).map(([given, sent, isCut]): Asked => {
      const of = (place: string) =>
        parameters.filter((one) => one.in === place && given[one.name] !== undefined).map(({ name }) => name);
      const path = of("path").reduce(
        (made, name) => made.replace(`{${name}}`, segmentOf(textOf(given[name]))),
        operation.path,
      );
      const query = new URLSearchParams(of("query").map((name) => [name, textOf(given[name])])).toString();
      const headers = of("header").map(
        (name) =>
          [
            name,
            textOf(given[name])
              .replace(/[^\x20-\x7e]/g, "")
              .trim(),
          ] as const,
      );
      return {
        ...{ operation, method, path: query === "" ? path : `${path}?${query}` },
        headers: {
          ...Object.fromEntries(headers),
          ...(sent !== undefined && { "content-type": "application/json" }),
        },
        ...(sent !== undefined && { body: isCut ? sent.slice(0, -1) : sent }),
      };
    });
  });
