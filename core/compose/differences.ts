import type { ContainerSpec } from "../model/container.ts";
import { own, sameJson, type Json } from "../model/json.ts";
import { bareName, isSecretField } from "../model/secrets.ts";
import { shortenIds, show } from "../model/show.ts";
import { comparable, settingDefaults } from "./settings.ts";

/** A field in which a container differs from its target. */
export interface Difference {
  readonly field: string;
  readonly from: Json;
  readonly to: Json;
}

// A device may be renamed at any time. The name "at init" is no reason to replace a container.
const atInit = /^environment\.(BALENA|RESIN)_DEVICE_NAME_AT_INIT$/;

// The engine adds this variable if neither the image nor the composition sets it.
const engineEnvironment = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" };

/** The fields in which `current` differs from `target`, named as in compose. */
export function differences(current: ContainerSpec, target: ContainerSpec): Difference[] {
  const { environment, labels, settings, hostname, ...rest } = current;
  const plain = Object.keys(rest) as (keyof typeof rest)[];
  // On the host's network, the engine shows the host's name if no hostname was requested.
  const hostsName = target.networkMode === "host" && target.hostname === "";
  return [
    ...plain.flatMap((field) => differ(snake(field), toJson(rest[field]), toJson(target[field]))),
    ...(hostsName ? [] : differ("hostname", hostname, target.hostname)),
    ...entries("environment.", environment, target.environment, engineEnvironment).filter(
      ({ field }) => !atInit.test(field),
    ),
    ...entries("labels.", labels, target.labels),
    ...entries("", comparable(settings), comparable(target.settings), settingDefaults),
  ];
}

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const toJson = (value: object | string | null): Json => value as Json;

export const differ = (field: string, from: Json, to: Json): Difference[] =>
  sameJson(from, to) ? [] : [{ field, from, to }];

type Entries = Readonly<Record<string, Json>>;

/** `absent`: the default values of missing names. */
export const entries = (prefix: string, from: Entries, to: Entries, absent: Entries = {}): Difference[] =>
  [...new Set([...Object.keys(from), ...Object.keys(to)])].flatMap((key) => {
    const valueIn = (record: Entries) => own(record, key) ?? own(absent, key) ?? null;
    return differ(prefix + key, valueIn(from), valueIn(to));
  });

/** A difference for people: values that may be secrets are left out, long ones are shortened. */
export interface ShownDifference {
  readonly field: string;
  readonly from?: string;
  readonly to?: string;
}

const longestShown = 100;
const side = (value: Json): string => (value === null ? "nothing" : show(value));
const isSecret = (field: string): boolean => isSecretField(field.replace(/\..*$/s, ""));

export function showDifference({ field, from, to }: Difference): ShownDifference {
  if (isSecret(field)) return { field: bareName(field) };
  const short = (text: string) => (text.length > longestShown ? `${text.slice(0, longestShown - 1)}…` : text);
  return { field, from: short(shortenIds(side(from))), to: short(shortenIds(side(to))) };
}

/** "mem_limit: 0 → 1024". For fields that may contain secrets, without values: "environment.MODE differs". */
export function describeDifference({ field, from, to }: Difference): string {
  if (!isSecret(field)) return `${field}: ${side(from)} → ${side(to)}`;
  return `${bareName(field)} ${from === null ? "is new" : to === null ? "is gone" : "differs"}`;
}
