import { posix } from "node:path";
import * as z from "zod";
import { Inspection, type toCreateOptions } from "../../core/docker-api/container.ts";
import type { ImageConfig } from "../../core/model/image.ts";

/**
 * An engine's answer to `GET /containers/:id/json` for a container that was created with these options. All behaviour
 * here was observed on Docker 20.10.24, except for `Manner`.
 */

/** Differences between the known engines, and between states of one engine. */
export interface Manner {
  /** Whether empty lists and objects are returned as null. */
  readonly emptyIsNull: boolean;
  /** Whether PATH is returned if it was not set. */
  readonly addsPath: boolean;
  /** Whether the container has been started. */
  readonly started: boolean;
  /** Since API 1.52, a MAC address is only shown where it is in use, and one is chosen if none was requested. */
  readonly choosesMac: boolean;
}

const containerId = "fab1cd7c98cd9dcab8bfed6af1d437e87b79c11e80e8047b7ac6d3d6910ea8d7";
const shortId = containerId.slice(0, 12);

const words = z.array(z.string());
const map = z.record(z.string(), z.string());

/** The body as it arrives at the engine. */
const Created = z.looseObject({
  Image: z.string(),
  Env: words,
  Cmd: words.nullish(),
  Entrypoint: words.nullish(),
  Labels: map,
  User: z.string().default(""),
  WorkingDir: z.string().default(""),
  StopSignal: z.string().default(""),
  Hostname: z.string().optional(),
  Healthcheck: z
    .object({
      Test: words,
      Interval: z.number().default(0),
      Timeout: z.number().default(0),
      StartPeriod: z.number().default(0),
      Retries: z.number().default(0),
      StartInterval: z.number().default(0),
    })
    .optional(),
  HostConfig: z.looseObject({
    Binds: words,
    Tmpfs: map,
    NetworkMode: z.string(),
    PidMode: z.string().default(""),
    IpcMode: z.string().default("private"),
    Privileged: z.boolean().default(false),
    SecurityOpt: words.default([]),
    PidsLimit: z.number().default(0),
    ShmSize: z.number().default(0),
  }),
  NetworkingConfig: z.object({ EndpointsConfig: z.record(z.string(), z.looseObject({ Aliases: words.optional() })) }),
});
type Created = z.output<typeof Created>;

export function echo(
  { options, join }: ReturnType<typeof toCreateOptions>,
  image: ImageConfig,
  { emptyIsNull, addsPath, started, choosesMac }: Manner,
): z.output<typeof Inspection> {
  const asked = Created.parse(JSON.parse(JSON.stringify(options)));
  const { HostConfig: host } = asked;
  const mode = host.NetworkMode || "default";
  const ownNetworks = !/^(host|none|container:.*)$/.test(mode);
  const label = !host.SecurityOpt.some((option) => option.startsWith("label"));
  const unconfined = host.Privileged || host.PidMode === "host" || host.IpcMode === "host";
  const endpoint = (config: object & { readonly Aliases?: readonly string[] | undefined }) => ({
    IPAMConfig: null,
    Links: null,
    ...config,
    ...(choosesMac && { MacAddress: "", ...(started && { MacAddress: "ce:0c:d5:a1:00:01", ...config }) }),
    Aliases: [...(config.Aliases ?? []), ...(started ? [shortId] : [])],
    NetworkID: started ? "9c817e4d4cdd" : "",
    DriverOpts: null,
  });
  const answer = {
    Id: containerId,
    Name: "/one_1_10_c1",
    Created: "2026-01-01T00:00:00.000000000Z",
    Image: asked.Image,
    State: {
      Status: started ? "running" : "created",
      ExitCode: 0,
      Error: "",
      StartedAt: started ? "2026-01-01T00:00:01.5Z" : "0001-01-01T00:00:00Z",
    },
    Config: {
      ...asked,
      HostConfig: undefined,
      NetworkingConfig: undefined,
      ...(choosesMac && { MacAddress: undefined }),
      Hostname: asked.Hostname ?? hostnameOf(mode, started),
      ...commandOf(asked, image),
      Env: environmentOf(asked, image, addsPath),
      Labels: { ...image.labels, ...asked.Labels },
      User: asked.User || image.user,
      WorkingDir: cleaned(asked.WorkingDir || image.workingDir),
      StopSignal: asked.StopSignal || image.stopSignal,
      Healthcheck: healthcheckOf(asked, image),
    },
    HostConfig: {
      ...host,
      NetworkMode: mode,
      SecurityOpt: [...host.SecurityOpt, ...(unconfined && label ? ["label=disable"] : [])],
      PidsLimit: host.PidsLimit > 0 ? host.PidsLimit : null,
      ShmSize: host.ShmSize || 64 * 2 ** 20,
      OomScoreAdj: 0,
      NanoCpus: 0,
      CapAdd: [],
      Devices: [],
      ...onlyGiven(host),
    },
    NetworkSettings: {
      Networks: ownNetworks
        ? Object.fromEntries([
            [mode, endpoint(asked.NetworkingConfig.EndpointsConfig[mode] ?? {})],
            ...join.map((one) => [one.network, endpoint(one.endpoint)]),
          ])
        : mode.startsWith("container:")
          ? {}
          : { [mode]: { IPAMConfig: null, Links: null, Aliases: null } },
    },
  };
  return Inspection.parse(JSON.parse(JSON.stringify(emptyIsNull ? withNulls(answer) : answer)));
}

/** Everything else is returned unchanged. */
const onlyGiven = ({
  SecurityOpt: _,
  PidsLimit: __,
  ShmSize: ___,
  NetworkMode: ____,
  ...rest
}: Created["HostConfig"]) => rest;

const hostnameOf = (mode: string, started: boolean): string =>
  mode === "host" ? "vm" : mode.startsWith("container:") && started ? "the-other" : shortId;

const enginePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Variables that only the image sets come after the container's variables. */
function environmentOf({ Env }: Created, image: ImageConfig, addsPath: boolean): string[] {
  const named = (list: readonly string[], name: string) => list.some((one) => one.startsWith(`${name}=`));
  const ofImage = Object.entries(image.environment).filter(([name]) => !named(Env, name));
  const all = [...Env, ...ofImage.map(([name, value]) => `${name}=${value}`)];
  return addsPath && !named(all, "PATH") ? [`PATH=${enginePath}`, ...all] : all;
}

/** An entrypoint of the container replaces the image's command. */
function commandOf({ Entrypoint, Cmd }: Created, image: ImageConfig) {
  if (Entrypoint?.length) return { Entrypoint, Cmd: Cmd ?? null };
  return { Entrypoint: Entrypoint ?? image.entrypoint, Cmd: Cmd?.length ? Cmd : image.command };
}

function healthcheckOf({ Healthcheck: own }: Created, { healthcheck: image }: ImageConfig) {
  if (!image) return own;
  return {
    Test: own?.Test.length ? own.Test : image.test,
    Interval: own?.Interval || image.interval,
    Timeout: own?.Timeout || image.timeout,
    StartPeriod: own?.StartPeriod || image.startPeriod,
    Retries: own?.Retries || image.retries,
    // Since API 1.44. Source: `merge` in the engine's daemon/commit.go.
    StartInterval: own?.StartInterval || (image.startInterval ?? 0),
  };
}

const cleaned = (path: string): string => (path === "" ? "" : posix.normalize(path).replace(/(?<=.)\/$/, ""));

function withNulls(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.length === 0 ? null : value.map(withNulls);
  const entries = Object.entries(value);
  return entries.length === 0 ? null : Object.fromEntries(entries.map(([key, one]) => [key, withNulls(one)]));
}
