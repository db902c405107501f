import * as z from "zod";
import { splitVariable } from "../compose/quantities.ts";
import type { Healthcheck, ImageConfig } from "../model/image.ts";

/** The engine's `Config`, which images and containers have. The settings table contains more of its fields. */

const Words = z.array(z.string()).nullish();
const Text = z.string().nullish();

const EngineHealthcheck = z
  .looseObject({
    Test: Words,
    Interval: z.number().nullish(),
    Timeout: z.number().nullish(),
    StartPeriod: z.number().nullish(),
    Retries: z.number().nullish(),
    StartInterval: z.number().nullish(),
  })
  .nullish();

export const EngineConfig = z.looseObject({
  Env: Words,
  Cmd: Words,
  Entrypoint: z.union([z.array(z.string()), z.string()]).nullish(),
  Labels: z.record(z.string(), z.string()).nullish(),
  Healthcheck: EngineHealthcheck,
  User: Text,
  WorkingDir: Text,
  StopSignal: Text,
  Hostname: Text,
});

/** The fields used from the engine's answer to `GET /images/:name/json`. */
export const ImageInspection = z.looseObject({
  Config: EngineConfig.nullish(),
  Architecture: Text,
  RootFS: z.looseObject({ Layers: Words }).nullish(),
});

export const fromImageInspection = ({
  Config,
  Architecture,
  RootFS,
}: z.output<typeof ImageInspection>): ImageConfig => ({
  ...fromEngineConfig(Config ?? {}),
  ...(Architecture && { architecture: Architecture }),
  ...(RootFS?.Layers && { layers: RootFS.Layers }),
});

export const fromEngineConfig = (config: z.output<typeof EngineConfig>): ImageConfig => ({
  command: config.Cmd ?? [],
  entrypoint: typeof config.Entrypoint === "string" ? [config.Entrypoint] : (config.Entrypoint ?? []),
  environment: Object.fromEntries((config.Env ?? []).map(splitVariable)),
  labels: config.Labels ?? {},
  user: config.User ?? "",
  workingDir: config.WorkingDir ?? "",
  stopSignal: config.StopSignal ?? "",
  healthcheck: fromEngineHealthcheck(config.Healthcheck),
});

export const toEngineHealthcheck = (check: Healthcheck | null) =>
  check
    ? {
        Test: [...check.test],
        Interval: check.interval,
        Timeout: check.timeout,
        StartPeriod: check.startPeriod,
        Retries: check.retries,
        // An engine before API 1.44 leaves it out of the container. The difference is then tolerated.
        ...(check.startInterval && { StartInterval: check.startInterval }),
      }
    : { Test: ["NONE"] };

const fromEngineHealthcheck = (check: z.output<typeof EngineHealthcheck>): Healthcheck | null =>
  check?.Test?.length && check.Test[0] !== "NONE"
    ? {
        test: check.Test,
        interval: check.Interval ?? 0,
        timeout: check.Timeout ?? 0,
        startPeriod: check.StartPeriod ?? 0,
        retries: check.Retries ?? 0,
        ...(check.StartInterval && { startInterval: check.StartInterval }),
      }
    : null;
