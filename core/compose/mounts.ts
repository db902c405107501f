import * as z from "zod";
import type { Mount } from "../model/container.ts";
import { Flag, Strings } from "./quantities.ts";

/** A mount as a composition writes it; `volume` sources are the composition's names, not yet the engine's. */
export type ComposeMount = Mount;

const sortOptions = (options: readonly string[]): string => [...options].sort().join(",");

const expected = 'a volume such as "data:/data", "data:/data:ro", or an object with type, source and target';

/** "data:/data:ro,nocopy" */
export function parseMount(text: string): ComposeMount | undefined {
  const [source = "", target, options = "", ...rest] = text.split(":");
  if (!source || !target?.startsWith("/") || rest.length > 0) return undefined;
  const words = options.split(",").filter((word) => word !== "" && word !== "rw");
  return {
    type: /^[./~]/.test(source) ? "bind" : "volume",
    source,
    target,
    readOnly: words.includes("ro"),
    options: sortOptions(words.filter((word) => word !== "ro")),
  };
}

/** "/run:size=1m,mode=1777" */
export function parseTmpfs(text: string): ComposeMount {
  const [target = "", options = ""] = text.split(/:(.*)/s);
  return {
    type: "tmpfs",
    source: "",
    target,
    readOnly: false,
    options: sortOptions(options.split(",").filter(Boolean)),
  };
}

const Short = z.string().transform((text, context): ComposeMount => {
  const mount = parseMount(text);
  if (mount) return mount;
  context.addIssue({ code: "custom", message: `expected ${expected}`, input: text });
  return z.NEVER;
});

const Long = z
  .looseObject({
    type: z.enum(["volume", "bind", "tmpfs"]),
    source: z.string().nullish(),
    target: z.string().startsWith("/"),
    read_only: Flag.nullish(),
    volume: z.looseObject({ nocopy: Flag.nullish() }).nullish(),
    bind: z.looseObject({ propagation: z.string().nullish() }).nullish(),
    tmpfs: z
      .looseObject({
        size: z.union([z.number(), z.string()]).nullish(),
        mode: z.union([z.number(), z.string()]).nullish(),
      })
      .nullish(),
  })
  .transform(({ type, source, target, read_only, volume, bind, tmpfs }): ComposeMount => ({
    type,
    source: type === "tmpfs" ? "" : (source ?? ""),
    target,
    readOnly: read_only === true,
    options: sortOptions([
      ...(volume?.nocopy ? ["nocopy"] : []),
      ...(bind?.propagation ? [bind.propagation] : []),
      ...(tmpfs?.size ? [`size=${tmpfs.size}`] : []),
      ...(tmpfs?.mode ? [`mode=${tmpfs.mode}`] : []),
    ]),
  }))
  .refine(({ type, source }) => type === "tmpfs" || source !== "", { error: "expected a source", path: ["source"] });

/** `volumes:` of a service, in its short and its long form. */
export const Mounts = z.array(z.union([Short, Long], { error: `expected ${expected}` }));

/** `tmpfs:` of a service, "/run" or a list, each with options after a colon. */
export const Tmpfs = Strings.transform((list) => list.map(parseTmpfs));

export const sortMounts = (mounts: readonly Mount[]): Mount[] =>
  [...new Map(mounts.map((mount) => [mount.target, mount])).values()].sort((a, b) => (a.target < b.target ? -1 : 1));

/** → the engine's `Binds` and `Tmpfs`. */
export const toBinds = (mounts: readonly Mount[]): { Binds: string[]; Tmpfs: Record<string, string> } => ({
  Binds: mounts
    .filter(({ type }) => type !== "tmpfs")
    .map(({ source, target, readOnly, options }) => {
      const words = [...(readOnly ? ["ro"] : []), ...options.split(",").filter(Boolean)].join(",");
      return `${source}:${target}${words && `:${words}`}`;
    }),
  Tmpfs: Object.fromEntries(
    mounts.filter(({ type }) => type === "tmpfs").map(({ target, options }) => [target, options]),
  ),
});

/** Where the engine keeps the mounts of a container. The original writes its long forms into `Mounts`. */
export const EngineMounts = z.looseObject({
  Binds: z.array(z.string()).nullish(),
  Tmpfs: z.record(z.string(), z.string()).nullish(),
  Mounts: z
    .array(
      z.looseObject({
        Type: z.string().nullish(),
        Source: z.string().nullish(),
        Target: z.string(),
        ReadOnly: z.boolean().nullish(),
        BindOptions: z.looseObject({ Propagation: z.string().nullish() }).nullish(),
        VolumeOptions: z.looseObject({ NoCopy: z.boolean().nullish() }).nullish(),
        TmpfsOptions: z.looseObject({ SizeBytes: z.number().nullish(), Mode: z.number().nullish() }).nullish(),
      }),
    )
    .nullish(),
});

/** → mounts. */
export function fromBinds(host: z.output<typeof EngineMounts>): Mount[] {
  return sortMounts([
    ...(host.Binds ?? []).flatMap((bind) => parseMount(bind) ?? []),
    ...Object.entries(host.Tmpfs ?? {}).map(([target, options]) => parseTmpfs(`${target}:${options}`)),
    ...(host.Mounts ?? []).map(
      ({ Type, Source, Target, ReadOnly, BindOptions, VolumeOptions, TmpfsOptions }): Mount => ({
        type: Type === "bind" || Type === "tmpfs" ? Type : "volume",
        source: Source ?? "",
        target: Target,
        readOnly: ReadOnly ?? false,
        options: sortOptions([
          ...(VolumeOptions?.NoCopy ? ["nocopy"] : []),
          ...(BindOptions?.Propagation ? [BindOptions.Propagation] : []),
          ...(TmpfsOptions?.SizeBytes ? [`size=${TmpfsOptions.SizeBytes}`] : []),
          ...(TmpfsOptions?.Mode ? [`mode=${TmpfsOptions.Mode.toString(8)}`] : []),
        ]),
      }),
    ),
  ]);
}
