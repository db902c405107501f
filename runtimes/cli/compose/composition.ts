import { issueMessage } from "../../../core/model/issue.ts";
import { readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { parseEnv } from "node:util";
import * as z from "zod";
import { messageOf } from "../../../core/model/show.ts";
import { readFiles } from "./files.ts";
import { interpolate, interpolateAll } from "./interpolate.ts";

/**
 * A compose file in the form of a release. Variables, `env_file` and profiles are resolved here, since they depend on the
 * machine that has the file. Source: docs.docker.com/reference/compose-file.
 */
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

const Service = z.looseObject({
  profiles: z.array(z.string(), { error: "expected a list of profiles" }).nullish(),
  env_file: z
    .union(
      [
        z.string(),
        z.array(
          z.union([
            z.string(),
            z.object({ path: z.string(), required: z.boolean().default(true), format: z.literal("raw").optional() }),
          ]),
        ),
      ],
      { error: "expected a path, a list of paths, or of objects with path and required" },
    )
    .nullish(),
  environment: z.unknown().optional(),
});
const File = z.looseObject(
  { services: z.record(z.string(), Service).optional() },
  { error: "expected a compose file: an object with services, networks and volumes" },
);

/** Reads `file`. A fault begins with the path in the compose file, or with the name of a file that cannot be read. */
export async function readComposition(file: string, context: CompositionContext): Promise<ReadComposition> {
  const folder = dirname(file);
  const source = await textOf(file);
  if (source.text === undefined) return { ok: false, faults: [source.fault] };
  const { parseDocument, visit } = await import("yaml");
  const document = parseDocument(source.text, { merge: true });
  if (document.errors.length > 0)
    return { ok: false, faults: document.errors.map(({ message }) => `${file}: ${message}`) };

  visit(document, {
    Scalar: (_, node) => {
      // Docker Compose reads YAML 1.1, in which a number with a zero in front is octal, such as a file's mode.
      if (typeof node.value === "number" && /^0[0-7]+$/.test(node.source ?? ""))
        node.value = Number.parseInt(node.source ?? "", 8);
    },
  });

  const dotenv = await textOf(join(folder, ".env"));
  const variables = { ...(dotenv.text === undefined ? {} : parseEnv(dotenv.text)), ...context.environment };
  const parsed = File.safeParse(document.toJS({ maxAliasCount: 100 }));
  if (!parsed.success) {
    const faults = parsed.error.issues.map(
      (issue) => `${issue.path.length > 0 ? issue.path.join(".") : file}: ${issueMessage(issue)}`,
    );
    return { ok: false, faults };
  }

  const { services: all = {}, ...others } = parsed.data;
  const active = Object.entries(all).filter(([, { profiles }]) => isActive(profiles ?? [], context.profiles));
  const faults = elsewhere(others, active);
  const { value, faults: unset } = interpolateAll(
    { ...others, services: Object.fromEntries(active.map(([name, { profiles: _, ...service }]) => [name, service])) },
    variables,
  );
  faults.push(...unset);
  const interpolated = File.parse(value);
  const services: Record<string, unknown> = {};
  for (const [name, { env_file, environment, ...service }] of Object.entries(interpolated.services ?? {})) {
    const path = `services.${name}`;
    const read = await variablesOf(env_file ?? [], folder, variables, `${path}.env_file`);
    const own = environmentOf(environment, variables, `${path}.environment`);
    faults.push(...read.faults, ...own.faults);
    const merged = { ...read.values, ...own.values };
    services[name] = {
      ...service,
      ...(own.unread !== undefined
        ? { environment: own.unread }
        : Object.keys(merged).length > 0 && { environment: merged }),
    };
  }
  const { configs: _, secrets: __, ...rest } = interpolated;
  const files = await readFiles(interpolated, interpolated.services ?? {}, folder, variables);
  faults.push(...files.faults);
  if (faults.length > 0) return { ok: false, faults };
  const named = variables["COMPOSE_PROJECT_NAME"] || interpolated["name"];
  const project = typeof named === "string" ? named : projectOf(folder);
  return { ok: true, composition: { ...rest, ...files.definitions, services }, project };
}

/** Compose drops the characters that a project's name must not have. Source: compose-go, `NormalizeProjectName`. */
const projectOf = (folder: string): string =>
  basename(resolve(folder))
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, "")
    .replace(/^[_-]+/, "");

const isActive = (own: readonly string[], wanted: readonly string[]): boolean =>
  own.length === 0 || wanted.includes("*") || own.some((profile) => wanted.includes(profile));

/** A fault for each field that includes a part of another file. */
const elsewhere = (others: object, services: readonly (readonly [string, object])[]): string[] =>
  [
    ...("include" in others ? ["include"] : []),
    ...services.flatMap(([name, service]) => ("extends" in service ? [`services.${name}.extends`] : [])),
  ].map((path) => `${path}: not read here; write one file with docker compose config > release.yml, and release that`);

type Text = { readonly text: string } | { readonly text?: undefined; readonly fault: string };

async function textOf(file: string): Promise<Text> {
  try {
    return { text: await readFile(file, "utf8") };
  } catch (error) {
    return { fault: `${file} cannot be read: ${messageOf(error)}` };
  }
}

type EnvFile = NonNullable<z.output<typeof Service>["env_file"]>;

/** The variables of env files; later files override earlier ones. Values in single quotes are not interpolated. */
async function variablesOf(
  files: EnvFile,
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

/** An environment as an object. A name without a value gets the shell's. `unread`: invalid, the cloud will reject it. */
function environmentOf(
  environment: unknown,
  variables: Readonly<Record<string, string | undefined>>,
  path: string,
): { values: Record<string, unknown>; faults: readonly string[]; unread?: unknown } {
  const faults: string[] = [];
  const fromShell = (name: string): [string, unknown] => {
    if (variables[name] === undefined)
      faults.push(`${path}: ${name} has no value, and is not set where this command runs`);
    return [name, variables[name]];
  };
  if (environment === undefined || environment === null) return { values: {}, faults };
  const list = z.array(z.string()).safeParse(environment);
  const entries: [string, unknown][] | undefined = list.success
    ? list.data.map((pair): [string, unknown] => {
        const at = pair.indexOf("=");
        return at < 0 ? fromShell(pair) : [pair.slice(0, at), pair.slice(at + 1)];
      })
    : typeof environment === "object" && !Array.isArray(environment)
      ? Object.entries(environment).map(([name, value]) => (value === null ? fromShell(name) : [name, value]))
      : undefined;
  return entries ? { values: Object.fromEntries(entries), faults } : { values: {}, faults, unread: environment };
}
