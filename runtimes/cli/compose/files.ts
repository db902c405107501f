import { readFile, stat } from "node:fs/promises";
import { isUtf8 } from "node:buffer";
import { resolve } from "node:path";
import * as z from "zod";
import type { FileContents } from "../../../core/compose/compose-file.ts";
import { largestFileBytes } from "../../../core/compose/files.ts";
import { didYouMean } from "../../../core/model/nearest.ts";
import { messageOf } from "../../../core/model/show.ts";

/** Reads the contents of configs and secrets where the command runs. */

const Definitions = z.record(
  z.string(),
  z.looseObject({}, { error: "expected an object with file, content or environment" }),
  { error: "expected an object of definitions" },
);
const sources = ["file", "content", "environment"];

/** Only definitions that services use are read. */
export async function readFiles(
  file: Readonly<Record<string, unknown>>,
  services: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  folder: string,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<FileContents> {
  const definitions: Record<string, Record<string, object>> = {};
  const faults: string[] = [];
  for (const kind of ["configs", "secrets"]) {
    const parsed = Definitions.safeParse(file[kind] ?? {});
    if (!parsed.success) {
      faults.push(...parsed.error.issues.map(({ path, message }) => `${[kind, ...path].join(".")}: ${message}`));
      continue;
    }
    const used = new Set(Object.values(services).flatMap((service) => namesIn(service[kind])));
    for (const [name, definition] of Object.entries(parsed.data)) {
      if (!used.has(name)) continue;
      const read = await contentOf(definition, folder, variables);
      if (read.content) (definitions[kind] ??= {})[name] = read.content;
      faults.push(...read.faults.map((fault) => `${kind}.${name}${fault}`));
    }
  }
  return { definitions, faults };
}

const namesIn = (references: unknown): readonly string[] =>
  (Array.isArray(references) ? references : []).flatMap((one: unknown) =>
    typeof one === "string"
      ? [one]
      : typeof one === "object" && one !== null && "source" in one && typeof one.source === "string"
        ? [one.source]
        : [],
  );

type ReadContent = { readonly content?: object; readonly faults: readonly string[] };

async function contentOf(
  definition: Readonly<Record<string, unknown>>,
  folder: string,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<ReadContent> {
  const given = Object.keys(definition).filter((field) => !field.startsWith("x-"));
  const faults = given
    .filter((field) => !sources.includes(field))
    .map((field) => `.${field}: not supported${didYouMean(field, sources)}`);
  const [source, ...others] = given.filter((field) => sources.includes(field));
  if (faults.length > 0) return { faults };
  if (source === undefined || others.length > 0) return { faults: [": expected one of file, content or environment"] };
  const value = definition[source];
  if (typeof value !== "string") return { faults: [`.${source}: expected a string`] };
  switch (source) {
    case "file":
      return ofFile(value, folder);
    case "environment":
      return variables[value] === undefined
        ? { faults: [`.environment: the variable ${value} is not set: set it, or put it into .env`] }
        : { content: { content: variables[value] }, faults: [] };
    default:
      return { content: { content: value }, faults: [] };
  }
}

async function ofFile(name: string, folder: string): Promise<ReadContent> {
  const path = resolve(folder, name);
  try {
    const stats = await stat(path);
    if (!stats.isFile()) return { faults: [`.file: expected a file, but ${path} is none`] };
    if (stats.size > largestFileBytes)
      return { faults: [`.file: expected at most ${largestFileBytes} bytes, but ${path} has ${stats.size}`] };
    const bytes = await readFile(path);
    const content = isUtf8(bytes) ? { content: bytes.toString("utf8") } : { base64: bytes.toString("base64") };
    return { content, faults: [] };
  } catch (error) {
    return { faults: [`.file: ${path} cannot be read: ${messageOf(error)}`] };
  }
}
