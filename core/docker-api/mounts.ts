import * as z from "zod";
import { fromLong, parseMount, sortMounts, toTmpfs } from "../compose/mounts.ts";
import type { Mount } from "../model/container.ts";

/** Converts mounts to the engine's `Binds` and `Tmpfs`. */
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

/** The engine's fields for mounts. The reference implementation writes long forms into `Mounts`. */
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

/** Converts the engine's fields to mounts. */
export function fromBinds(host: z.output<typeof EngineMounts>): Mount[] {
  return sortMounts([
    ...(host.Binds ?? []).flatMap((bind) => parseMount(bind) ?? []),
    ...Object.entries(host.Tmpfs ?? {}).map(([target, options]) => toTmpfs(target, options.split(",").filter(Boolean))),
    ...(host.Mounts ?? []).map(({ Type, Source, Target, ReadOnly, BindOptions, VolumeOptions, TmpfsOptions }) =>
      fromLong({
        type: Type === "bind" || Type === "tmpfs" ? Type : "volume",
        source: Source,
        target: Target,
        readOnly: ReadOnly,
        noCopy: VolumeOptions?.NoCopy,
        propagation: BindOptions?.Propagation,
        size: TmpfsOptions?.SizeBytes,
        mode: TmpfsOptions?.Mode,
      }),
    ),
  ]);
}
