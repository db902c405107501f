import * as z from "zod";
import type { Mount } from "../model/container.ts";
import { Flag, Strings, cleanPath, parsed, parsedEach } from "./quantities.ts";

/** A mount in a composition. The source of a volume is its name in the composition, not on the engine. */
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
    target: cleanPath(target),
    readOnly: words.includes("ro"),
    options: sortOptions(words.filter((word) => word !== "ro")),
  };
}

/** "/run:size=1m,mode=1777" */
function parseTmpfs(text: string): ComposeMount | undefined {
  const [target = "", options = ""] = text.split(/:(.*)/s);
  return target.startsWith("/") ? toTmpfs(target, options.split(",").filter(Boolean)) : undefined;
}

/** For tmpfs, "ro" is one of the options: the engine stores all options in one text. */
export const toTmpfs = (target: string, options: readonly string[]): Mount => ({
  type: "tmpfs",
  source: "",
  target: cleanPath(target),
  readOnly: false,
  options: sortOptions(options),
});

/** The long form of compose and of the engine's API. The size is in bytes; the mode is a number. */
interface LongMount {
  readonly type: Mount["type"];
  readonly source?: string | null | undefined;
  readonly target: string;
  readonly readOnly?: boolean | null | undefined;
  readonly noCopy?: boolean | null | undefined;
  readonly propagation?: string | null | undefined;
  readonly size?: number | string | null | undefined;
  readonly mode?: number | string | null | undefined;
}

export function fromLong({ type, source, target, readOnly, noCopy, propagation, size, mode }: LongMount): Mount {
  if (type === "tmpfs")
    return toTmpfs(target, [
      ...(readOnly ? ["ro"] : []),
      ...(size ? [`size=${size}`] : []),
      ...(mode ? [`mode=${typeof mode === "number" ? mode.toString(8) : mode}`] : []),
    ]);
  return {
    type,
    source: source ?? "",
    target: cleanPath(target),
    readOnly: readOnly ?? false,
    options: sortOptions([...(noCopy ? ["nocopy"] : []), ...(propagation ? [propagation] : [])]),
  };
}

const Short = parsed(expected, parseMount);

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
  .refine(({ type, source }) => type === "tmpfs" || source)
  .transform(({ read_only, volume, bind, tmpfs, ...rest }) =>
    fromLong({
      ...rest,
      readOnly: read_only,
      noCopy: volume?.nocopy,
      propagation: bind?.propagation,
      size: tmpfs?.size,
      mode: tmpfs?.mode,
    }),
  );

/** `volumes:` of a service, in its short and its long form. */
export const Mounts = z.array(z.union([Short, Long], { error: `expected ${expected}` }));

/** `tmpfs:` of a service, "/run" or a list, each with options after a colon. */
export const Tmpfs = parsedEach(Strings, 'a path such as "/run" or "/run:size=1m"', parseTmpfs);

export const sortMounts = (mounts: readonly Mount[]): Mount[] =>
  [...new Map(mounts.map((mount) => [mount.target, mount])).values()].sort((a, b) => (a.target < b.target ? -1 : 1));
