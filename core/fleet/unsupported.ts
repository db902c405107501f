import { fileFaults, fileFields } from "../compose/files.ts";
import { networkFields, volumeFields } from "../compose/definitions.ts";
import {
  healthcheckFields,
  parseRestart,
  restartPolicies,
  serviceFields,
  unknownFields,
} from "../compose/service-config.ts";
import { deployFieldsWithoutEffect } from "../compose/update-words.ts";
import { didYouMean } from "../model/nearest.ts";
import type { Port } from "../model/container.ts";
import type { Service } from "../model/target.ts";

interface Parts {
  readonly services: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly networks: Readonly<Record<string, object>>;
  readonly volumes: Readonly<Record<string, object>>;
  readonly configs?: Readonly<Record<string, object>> | undefined;
  readonly secrets?: Readonly<Record<string, object>> | undefined;
}

/**
 * The parts that a device ignores or changes. Each sentence begins with the path. In a target state these are warnings,
 * since compose may have newer fields. In a release they are faults, unless its author allows unsupported parts.
 */
export const unsupportedParts = (
  { services, networks, volumes, configs = {}, secrets = {} }: Parts,
  others: object,
): readonly string[] => [
  ...unknown("", others, ["version", "name"], ["services", "networks", "volumes", "configs", "secrets"]),
  ...Object.entries(services).flatMap(([name, entry]) => ofService(`services.${name}.`, entry, Object.keys(services))),
  ...Object.entries(networks).flatMap(([name, network]) => unknown(`networks.${name}.`, network, networkFields)),
  ...Object.entries(volumes).flatMap(([name, volume]) => unknown(`volumes.${name}.`, volume, volumeFields)),
  ...Object.entries({ configs, secrets }).flatMap(([kind, files]) =>
    Object.entries(files).flatMap(([name, file]) => [
      ...unknown(`${kind}.${name}.`, file, fileFields),
      ...(fileFields.some((field) => field in file)
        ? []
        : [`${kind}.${name}: expected a content; a file and a variable are read where the compose file is`]),
    ]),
  ),
  ...Object.entries(services).flatMap(([name, entry]) => fileFaults(name, entry, { configs, secrets })),
];

/** Fields `x-…` are allowed: compose reserves them for extensions. */
const unknown = (path: string, part: object, known: readonly string[], beside: readonly string[] = []): string[] =>
  Object.keys(part)
    .filter((field) => !known.includes(field) && !field.startsWith("x-"))
    .map((field) => `${path}${field}: not supported${didYouMean(field, [...known, ...beside])}`);

/** These fields only inform people, or have an effect only in `docker compose`. */
export const withoutEffect: readonly string[] = ["attach", "develop", "expose"];

function ofService(path: string, entry: Readonly<Record<string, unknown>>, names: readonly string[]): string[] {
  const { restart, depends_on, deploy, healthcheck } = entry;
  const wanted = Array.isArray(depends_on)
    ? depends_on.map(String)
    : Object.keys(isObject(depends_on) ? depends_on : {});
  return [
    ...unknownFields(entry)
      .filter((field) => !withoutEffect.includes(field))
      .map((field) => `${path}${field}: not supported${didYouMean(field, serviceFields)}`),
    ...deployFieldsWithoutEffect(deploy).unknown.map(
      ({ field, meant }) => `${path}deploy.${field}: not supported${meant}`,
    ),
    ...(isObject(healthcheck) ? unknown(`${path}healthcheck.`, healthcheck, healthcheckFields) : []),
    ...(restart !== undefined && restart !== null && !parseRestart(restart)
      ? [`${path}restart: expected one of ${restartPolicies}, but got ${JSON.stringify(restart)}`]
      : []),
    ...wanted
      .filter((service) => !names.includes(service))
      .map(
        (service) => `${path}depends_on: there is no service ${JSON.stringify(service)}${didYouMean(service, names)}`,
      ),
  ];
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

/** Whether a warning of a target state repeats one of `unsupportedParts`. */
export const isUnsupportedWarning = (warning: string): boolean =>
  /: not supported, left out$|^services\.[^:]+\.restart: .*; taken as always$|^services\.[^:]+\.depends_on: there is no service .*, left out$|^services\.[^:]+\.(configs|secrets): there is no .*, left out$/.test(
    warning,
  );

/** A fault for each host port that two services publish, since the second service could not start. */
export function portConflicts(services: readonly Service[]): readonly string[] {
  const taken: { readonly service: string; readonly port: Port }[] = [];
  return services.flatMap(({ name, config }) => {
    if (config.networkMode === "host") return [];
    const conflicts = config.ports.flatMap((port) => {
      const other = taken.find((one) => one.service !== name && overlap(one.port, port));
      return other
        ? [
            `services.${name}.ports: port ${port.published}/${port.protocol} of the host is published by ${other.service}, too`,
          ]
        : [];
    });
    taken.push(...config.ports.map((port) => ({ service: name, port })));
    return [...new Set(conflicts)];
  });
}

/** Ranges do not overlap: the engine chooses a free port of a range. */
const overlap = (a: Port, b: Port): boolean =>
  a.published !== "" &&
  a.published === b.published &&
  !a.published.includes("-") &&
  a.protocol === b.protocol &&
  (a.ip === b.ip || isEvery(a.ip) || isEvery(b.ip));
const isEvery = (ip: string): boolean => ip === "" || ip === "0.0.0.0" || ip === "::";
