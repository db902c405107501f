import { split } from "shlex";
import * as z from "zod";
import type { NetworkEndpoint, RestartPolicy } from "../model/container.ts";
import type { Healthcheck } from "../model/image.ts";
import type { ServiceConfig } from "../model/target.ts";
import { FileReferences } from "./files.ts";
import { Mounts, Tmpfs, sortMounts } from "./mounts.ts";
import { Ports } from "./ports.ts";
import { Duration, Flag, Integer, StringMap, Text } from "./quantities.ts";
import { notDefault, settings } from "./settings.ts";
import { Deploy } from "./update-words.ts";

const Command = z
  .union([z.string(), z.array(z.union([z.string(), z.number()]).transform(String))], {
    error: "expected a command line or a list of words",
  })
  .transform((command, context): readonly string[] => {
    if (typeof command !== "string") return command;
    try {
      return split(command);
    } catch (error) {
      context.addIssue({ code: "custom", message: `expected a command line, but ${String(error)}`, input: command });
      return z.NEVER;
    }
  });

const HealthcheckFields = {
  test: z
    .union([z.string(), z.array(z.string())], {
      error: 'expected a command, or ["CMD", …], ["CMD-SHELL", …], ["NONE"]',
    })
    .nullish(),
  interval: Duration.nullish(),
  timeout: Duration.nullish(),
  start_period: Duration.nullish(),
  // The reference implementation reads only this spelling, so compositions may use it.
  startPeriod: Duration.nullish(),
  start_interval: Duration.nullish(),
  retries: Integer.nullish(),
  disable: Flag.nullish(),
};
export const healthcheckFields: readonly string[] = Object.keys(HealthcheckFields);

const HealthcheckInput = z
  .looseObject(HealthcheckFields)
  .transform(
    ({
      test,
      interval,
      timeout,
      start_period,
      startPeriod,
      start_interval,
      retries,
      disable,
    }): Partial<Healthcheck> | "none" => {
      const words = typeof test === "string" ? ["CMD-SHELL", test] : test;
      if (disable || words?.[0] === "NONE") return "none";
      const start = start_period ?? startPeriod;
      return {
        ...(words && words.length > 0 && { test: words }),
        ...(interval && { interval }),
        ...(timeout && { timeout }),
        ...(start && { startPeriod: start }),
        ...(retries && { retries }),
        ...(start_interval && { startInterval: start_interval }),
      };
    },
  );

export const restartPolicies = "no, always, on-failure[:N], unless-stopped";

/** "no", "always", "unless-stopped", "on-failure", "on-failure:3"; undefined for anything else. */
export function parseRestart(value: unknown): RestartPolicy | undefined {
  if (value === false) return { name: "no", retries: 0 };
  const [, name, retries = "0"] =
    /^(no|always|unless-stopped|on-failure(?=:|$))(?::(\d+))?$/i.exec(String(value)) ?? [];
  switch (name?.toLowerCase()) {
    case "no":
    case "always":
    case "unless-stopped":
      return retries === "0"
        ? { name: name.toLowerCase() as "no" | "always" | "unless-stopped", retries: 0 }
        : undefined;
    case "on-failure":
      return { name: "on-failure", retries: Number(retries) };
    default:
      return undefined;
  }
}

const always: RestartPolicy = { name: "always", retries: 0 };

const EndpointInput = z
  .looseObject({
    aliases: z.array(z.string()).nullish(),
    ipv4_address: z.string().nullish(),
    ipv6_address: z.string().nullish(),
    link_local_ips: z.array(z.string()).nullish(),
  })
  .nullish()
  .transform((input): NetworkEndpoint => ({
    aliases: [...(input?.aliases ?? [])].sort(),
    ipv4: input?.ipv4_address ?? "",
    ipv6: input?.ipv6_address ?? "",
    linkLocal: [...(input?.link_local_ips ?? [])].sort(),
  }));

const ServiceNetworks = z.union(
  [
    z
      .array(z.string())
      .transform((names) => Object.fromEntries(names.map((name) => [name, EndpointInput.parse(null)]))),
    z.record(z.string(), EndpointInput),
  ],
  { error: "expected a list of networks, or an object with aliases and addresses for each" },
);

const printable = /^[^\s"'`]+$/;
const EnvironmentName = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Variables as the cloud and the developer's tool send them: an object of strings. */
export const Environment = z.record(
  z.string().regex(EnvironmentName, {
    error: "expected a variable name: a letter or _, then letters, digits and _",
  }),
  z.string({ error: "expected a string" }),
);
export const Labels = z
  .record(
    z.string().regex(printable, { error: "expected a label name without spaces and quotes" }),
    z.string({ error: "expected a string" }),
  )
  .transform(modernLabels);

/** Renames former labels (`io.resin.…`) to the current names. If both exist, the current one has priority. */
function modernLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(labels);
  return Object.fromEntries([
    ...entries.map(([name, value]) => [name.replace(/^io\.resin\./, "io.balena."), value]),
    ...entries.filter(([name]) => name.startsWith("io.balena.")),
  ]);
}

const ComposeEnvironment = StringMap.transform((variables) =>
  Object.fromEntries(Object.entries(variables).filter(([name]) => name !== "")),
);

/** The compose fields of a service. Other fields are accepted, and `unknownFields` reports them. */
export const ComposeFields = {
  ...FileReferences,
  command: Command.nullish(),
  depends_on: z
    .union(
      [
        z.array(z.string()),
        z.record(
          z.string(),
          z
            .looseObject({
              condition: z.enum(["service_started", "service_healthy", "service_completed_successfully"]).nullish(),
              required: Flag.nullish(),
            })
            .nullish(),
        ),
      ],
      { error: "expected a list of services, or an object with a condition for each" },
    )
    .nullish(),
  deploy: Deploy.nullish(),
  entrypoint: Command.nullish(),
  healthcheck: HealthcheckInput.nullish(),
  hostname: z.string().nullish(),
  network_mode: z.string().nullish(),
  networks: ServiceNetworks.nullish(),
  ports: Ports.nullish(),
  restart: z.union([z.string(), z.boolean()], { error: `expected one of ${restartPolicies}` }).nullish(),
  stop_signal: z.string().nullish(),
  tmpfs: Tmpfs.nullish(),
  user: Text.nullish(),
  volumes: Mounts.nullish(),
  working_dir: z
    .string()
    .regex(/^(\/|$)/, { error: 'expected a path that begins with "/"' })
    .nullish(),
};

/** The fields of the settings table, in addition to `ComposeFields`. */
export const SettingFields = Object.fromEntries(
  Object.entries(settings).map(([key, { schema }]) => [key, schema.nullish()]),
);

/** A service in the cloud's composition. The cloud sends `environment` and `labels` also outside of it. */
export const Composition = z.object({
  ...ComposeFields,
  ...SettingFields,
  environment: ComposeEnvironment.nullish(),
  labels: StringMap.transform(modernLabels).nullish(),
});

/** Known fields that are not compose fields, or that do not affect a running container. */
const elsewhere =
  "environment labels image imageId serviceName serviceId releaseId commit appId appUuid running contract build".split(
    " ",
  );
/** The compose fields of a service that affect its container. */
export const serviceFields: readonly string[] = [
  ...Object.keys(ComposeFields),
  ...Object.keys(settings),
  "environment",
  "labels",
  "image",
];
const known = new Set([...serviceFields, ...elsewhere]);

/** The fields of a service's entry that have no effect. Compose reserves `x-…` for extensions: they may be anything. */
export const unknownFields = (entry: object): string[] =>
  Object.keys(entry).filter((key) => !known.has(key) && !key.startsWith("x-"));

export type Fields = { readonly [K in keyof typeof ComposeFields]?: z.output<(typeof ComposeFields)[K]> };

/** The parsed fields of a service → its config. */
export function toServiceConfig(
  fields: Fields,
  values: Readonly<Record<string, unknown>>,
  environment: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): ServiceConfig {
  const { command, entrypoint, user, working_dir, stop_signal, hostname, healthcheck, network_mode } = fields;
  return {
    ...(command && { command }),
    ...(entrypoint && { entrypoint }),
    environment,
    labels,
    ...(user && { user }),
    ...(working_dir && { workingDir: working_dir }),
    ...(stop_signal && { stopSignal: stop_signal }),
    ...(hostname && { hostname }),
    ...(healthcheck && { healthcheck }),
    restart: parseRestart(fields.restart ?? "always") ?? always,
    ports: fields.ports ?? [],
    mounts: sortMounts([...(fields.volumes ?? []), ...(fields.tmpfs ?? [])]),
    ...(network_mode && { networkMode: network_mode }),
    networks: fields.networks ?? {},
    settings: notDefault(values),
  };
}
