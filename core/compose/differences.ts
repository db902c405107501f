import type { ContainerSpec } from "../model/container.ts";
import { own, sameJson, type Json } from "../model/json.ts";
import { bareName, isSecretField } from "../model/secrets.ts";
import { show } from "../model/show.ts";
import { comparable, settingDefaults } from "./settings.ts";

/** One field in which a container is not what it must be. */
export interface Difference {
  readonly field: string;
  readonly from: Json;
  readonly to: Json;
}

// A device may be renamed at any time; the name "at init" is not worth a restart.
const atInit = /^environment\.(BALENA|RESIN)_DEVICE_NAME_AT_INIT$/;

// The engine adds this when neither image nor composition say otherwise.
const engineEnvironment = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" };

/** Every field in which `current` differs from `target`, in the words of compose. Empty: nothing to do. */
export function differences(current: ContainerSpec, target: ContainerSpec): Difference[] {
  const { environment, labels, settings, hostname, ...rest } = current;
  const plain = Object.keys(rest) as (keyof typeof rest)[];
  // On the host's network, the engine shows the host's name where none was asked for.
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

/** `absent`: what holds for a name that is not there. */
export const entries = (prefix: string, from: Entries, to: Entries, absent: Entries = {}): Difference[] =>
  [...new Set([...Object.keys(from), ...Object.keys(to)])].flatMap((key) => {
    const valueIn = (record: Entries) => own(record, key) ?? own(absent, key) ?? null;
    return differ(prefix + key, valueIn(from), valueIn(to));
  });

/** "mem_limit: 0 → 1024"; of fields that may hold secrets, only that they differ: "environment.MODE differs". */
export function describeDifference({ field, from, to }: Difference): string {
  const side = (value: Json) => (value === null ? "nothing" : show(value));
  if (!isSecretField(field.replace(/\..*$/s, ""))) return `${field}: ${side(from)} → ${side(to)}`;
  return `${bareName(field)} ${from === null ? "is new" : to === null ? "is gone" : "differs"}`;
}
