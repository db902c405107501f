import * as z from "zod";

/** The form of a JSON value in the words of a type: `{ status: "success", tags: { name: string }[] }`. */
export const shapeOf = (schema: z.ZodType, io: "input" | "output"): string => toText(toSchema(schema, io));

/** The fields that have a description, at any depth: `name: description`. */
export const notesOf = (schema: z.ZodType, io: "input" | "output"): readonly string[] => [
  ...new Set(toNotes(toSchema(schema, io))),
];

const toSchema = (schema: z.ZodType, io: "input" | "output"): Schema =>
  Schema.parse(z.toJSONSchema(schema, { io, unrepresentable: "any" }));

function toNotes({ anyOf = [], items, properties = {}, additionalProperties }: Schema): string[] {
  const own = Object.entries(properties).flatMap(([name, schema]) => [
    ...(schema.description === undefined ? [] : [`\`${name}\`: ${schema.description}`]),
    ...toNotes(schema),
  ]);
  const others = typeof additionalProperties === "object" ? [additionalProperties] : [];
  return [...own, ...[...anyOf, ...(items ? [items] : []), ...others].flatMap(toNotes)];
}

interface Schema {
  readonly description?: string | undefined;
  readonly type?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[] | undefined;
  readonly anyOf?: readonly Schema[] | undefined;
  readonly items?: Schema | undefined;
  readonly properties?: Readonly<Record<string, Schema>> | undefined;
  readonly required?: readonly string[] | undefined;
  readonly additionalProperties?: Schema | boolean | undefined;
}

const Schema: z.ZodType<Schema> = z.lazy(() =>
  z.object({
    description: z.string().optional(),
    type: z.unknown().optional(),
    const: z.unknown().optional(),
    enum: z.array(z.unknown()).optional(),
    anyOf: z.array(Schema).optional(),
    items: Schema.optional(),
    properties: z.record(z.string(), Schema).optional(),
    required: z.array(z.string()).optional(),
    additionalProperties: z.union([z.boolean(), Schema]).optional(),
  }),
);

function toText({ type, anyOf, items, properties, required = [], additionalProperties, ...rest }: Schema): string {
  if ("const" in rest) return JSON.stringify(rest.const);
  if (rest.enum) return rest.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (anyOf) return [...new Set(anyOf.map(toText))].join(" | ");
  if (type === "array") return inBrackets(items === undefined ? "any" : toText(items));
  if (type !== "object") return Array.isArray(type) ? type.map(nameOf).join(" | ") : nameOf(type);
  const named = Object.entries(properties ?? {}).map(
    ([name, schema]) => `${name}${required.includes(name) ? "" : "?"}: ${toText(schema)}`,
  );
  const others = typeof additionalProperties === "object" ? toText(additionalProperties) : "any";
  if (additionalProperties) named.push(Object.keys(additionalProperties).length > 0 ? `[name]: ${others}` : "…");
  return named.length === 0 ? "{}" : `{ ${named.join(", ")} }`;
}

const nameOf = (type: unknown): string => (type === "integer" ? "number" : typeof type === "string" ? type : "any");

const inBrackets = (item: string): string => (/^[^{]* \| /.test(item) ? `(${item})[]` : `${item}[]`);
