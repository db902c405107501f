import { readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { parseEnv } from "node:util";
import { resolveComposition, type EnvFiles } from "../../../core/compose/compose-file.ts";
import { interpolate } from "../../../core/compose/interpolate.ts";
import { readYaml } from "../../../core/compose/yaml.ts";
import { messageOf } from "../../../core/model/show.ts";
import { readFiles } from "./files.ts";

/** A compose file on this machine, with the variables of its shell and the files beside it. */
export type ReadComposition =
  | {
      readonly ok: true;
      readonly composition: Readonly<Record<string, unknown>>;
      /** The project's name: `COMPOSE_PROJECT_NAME`, else `name` of the file, else the folder's name. */
      readonly project: string;
    }
  | { readonly ok: false; readonly faults: readonly string[] };

export interface CompositionContext {
  /** Variables of the shell; they override those of `.env`. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Services with one of these profiles are included; `*` means all profiles. */
  readonly profiles: readonly string[];
}

/** Reads `file`. A fault begins with the path in the compose file, or with the name of a file that cannot be read. */
export async function readComposition(file: string, context: CompositionContext): Promise<ReadComposition> {
  const folder = dirname(file);
  const source = await textOf(file);
  if (source.text === undefined) return { ok: false, faults: [source.fault] };
  const yaml = await readYaml(source.text);
  if (!yaml.ok) return { ok: false, faults: yaml.faults.map((fault) => `${file}: ${fault}`) };
  const dotenv = await textOf(join(folder, ".env"));
  const variables = { ...(dotenv.text === undefined ? {} : parseEnv(dotenv.text)), ...context.environment };
  const resolved = await resolveComposition(yaml.value, {
    ...{ file, variables, profiles: context.profiles },
    envFiles: (files, path) => variablesOf(files, folder, variables, path),
    contents: (definitions, services) => readFiles(definitions, services, folder, variables),
  });
  if (!resolved.ok) return resolved;
  const project = variables["COMPOSE_PROJECT_NAME"] || resolved.name || projectOf(folder);
  return { ok: true, composition: resolved.composition, project };
}

/** Compose drops the characters that a project's name must not have. Source: compose-go, `NormalizeProjectName`. */
const projectOf = (folder: string): string =>
  basename(resolve(folder))
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, "")
    .replace(/^[_-]+/, "");

type Text = { readonly text: string } | { readonly text?: undefined; readonly fault: string };

async function textOf(file: string): Promise<Text> {
  try {
    return { text: await readFile(file, "utf8") };
  } catch (error) {
    return { fault: `${file} cannot be read: ${messageOf(error)}` };
  }
}

/** The variables of env files; later files override earlier ones. Values in single quotes are not interpolated. */
async function variablesOf(
  files: EnvFiles,
  folder: string,
  variables: Readonly<Record<string, string | undefined>>,
  path: string,
): Promise<{ values: Record<string, string>; faults: readonly string[] }> {
  const values: Record<string, string> = {};
  const faults: string[] = [];
  for (const one of typeof files === "string" ? [files] : files) {
    const {
      path: name,
      required,
      format,
    } = typeof one === "string" ? { path: one, required: true } : { format: undefined, ...one };
    const source = await textOf(join(folder, name));
    if (source.text === undefined) {
      if (required) faults.push(`${path}: ${source.fault}`);
      continue;
    }
    for (const [variable, value = ""] of Object.entries(parseEnv(source.text))) {
      const isLiteral = format === "raw" || isSingleQuoted(variable, source.text);
      const read = isLiteral ? { ok: true as const, text: value } : interpolate(value, { ...values, ...variables });
      if (read.ok) values[variable] = read.text;
      else faults.push(`${path}: ${name}: ${variable}: ${read.fault}`);
    }
  }
  return { values, faults };
}

const isSingleQuoted = (variable: string, source: string): boolean =>
  source.split("\n").some((line) => {
    const assignment = line.trim().replace(/^export\s+/, "");
    return assignment.startsWith(variable) && /^\s*=\s*'/.test(assignment.slice(variable.length));
  });
