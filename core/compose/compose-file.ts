import * as z from "zod";
import { issueMessage } from "../model/issue.ts";
import { interpolateAll, ownValue } from "./interpolate.ts";

/**
 * A compose file in the form of a release: with variables, `env_file` and profiles resolved. Where these come from depends on
 * the machine that has the file. Source: docs.docker.com/reference/compose-file.
 */
export type ResolvedComposition =
  | {
      readonly ok: true;
      readonly composition: Readonly<Record<string, unknown>>;
      /** The `name` of the file. */
      readonly name: string | undefined;
    }
  | { readonly ok: false; readonly faults: readonly string[] };

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

export type EnvFiles = NonNullable<z.output<typeof Service>["env_file"]>;

export interface Variables {
  readonly values: Readonly<Record<string, string>>;
  readonly faults: readonly string[];
}

export interface FileContents {
  /** `configs` and `secrets` with their contents. A kind without definitions is absent. */
  readonly definitions: Readonly<Record<string, Readonly<Record<string, object>>>>;
  readonly faults: readonly string[];
}

/** What a compose file refers to. */
export interface ComposeSources {
  /** Before a fault of the file as a whole. */
  readonly file: string;
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** What to do about a variable that is not set, before "write ${NAME:-default}". Absent: what `interpolateAll` says. */
  readonly advice?: string;
  /** Services with one of these profiles are included; `*` means all profiles. */
  readonly profiles: readonly string[];
  /** The variables of env files; later files override earlier ones. Faults begin with `path`. */
  readonly envFiles: (files: EnvFiles, path: string) => Variables | Promise<Variables>;
  /** The contents of configs and secrets that services use. */
  readonly contents: (
    file: Readonly<Record<string, unknown>>,
    services: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => FileContents | Promise<FileContents>;
}

/** `value`: the file, read from YAML. A fault begins with the path in the file. */
export async function resolveComposition(value: unknown, sources: ComposeSources): Promise<ResolvedComposition> {
  const { file, variables, advice, profiles: wanted } = sources;
  const parsed = File.safeParse(value);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(
      (issue) => `${issue.path.length > 0 ? issue.path.join(".") : file}: ${issueMessage(issue)}`,
    );
    return { ok: false, faults };
  }
  const { services: all = {}, ...others } = parsed.data;
  const active = Object.entries(all).filter(([, { profiles }]) => isActive(profiles ?? [], wanted));
  const faults = elsewhere(others, active);
  const { value: resolved, faults: unset } = interpolateAll(
    { ...others, services: Object.fromEntries(active.map(([name, { profiles: _, ...service }]) => [name, service])) },
    variables,
    advice,
  );
  faults.push(...unset);
  const interpolated = File.parse(resolved);
  const services: Record<string, unknown> = {};
  for (const [name, { env_file, environment, ...service }] of Object.entries(interpolated.services ?? {})) {
    const path = `services.${name}`;
    const read = await sources.envFiles(env_file ?? [], `${path}.env_file`);
    const own = environmentOf(environment, sources, `${path}.environment`);
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
  const files = await sources.contents(interpolated, interpolated.services ?? {});
  faults.push(...files.faults);
  if (faults.length > 0) return { ok: false, faults };
  const name = interpolated["name"];
  return {
    ok: true,
    composition: { ...rest, ...files.definitions, services },
    name: typeof name === "string" && name !== "" ? name : undefined,
  };
}

const isActive = (own: readonly string[], wanted: readonly string[]): boolean =>
  own.length === 0 || wanted.includes("*") || own.some((profile) => wanted.includes(profile));

/** A fault for each field that includes a part of another file. */
const elsewhere = (others: object, services: readonly (readonly [string, object])[]): string[] =>
  [
    ...("include" in others ? ["include"] : []),
    ...services.flatMap(([name, service]) => ("extends" in service ? [`services.${name}.extends`] : [])),
  ].map((path) => `${path}: not read here; write one file with docker compose config > release.yml, and release that`);

/** An environment as an object. A name without a value gets the shell's. `unread`: invalid, the cloud will reject it. */
function environmentOf(
  environment: unknown,
  { variables, advice }: Pick<ComposeSources, "variables" | "advice">,
  path: string,
): { values: Record<string, unknown>; faults: readonly string[]; unread?: unknown } {
  const faults: string[] = [];
  const fromShell = (name: string): [string, unknown] => {
    const value = ownValue(variables, name);
    if (value === undefined)
      faults.push(
        `${path}: ${name} has no value${advice === undefined ? ", and is not set where this command runs" : `: ${advice} write it`}`,
      );
    return [name, value];
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
