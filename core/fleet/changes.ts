import { own, sameJson } from "../model/json.ts";
import { environmentIn, labelsOf, type Composition, type ServiceEntry } from "./release.ts";

/** A difference between two releases in one part. */
export interface Change {
  readonly part: "service" | "network" | "volume" | "config" | "secret";
  readonly name: string;
  readonly change: "added" | "removed" | "changed";
  /** The names of the changed fields: `image`, `environment.TZ`. Values are left out, since they may be secret. */
  readonly fields: readonly string[];
}

/** The changes from `before` to `after`. The fields are compared as written: another spelling of a value is a change. */
export const changesBetween = (before: Composition, after: Composition): Change[] => [
  ...compare("service", before.services, after.services, serviceFields),
  ...compare("network", before.networks, after.networks, fieldsThatDiffer),
  ...compare("volume", before.volumes, after.volumes, fieldsThatDiffer),
  ...compare("config", before.configs ?? {}, after.configs ?? {}, fieldsThatDiffer),
  ...compare("secret", before.secrets ?? {}, after.secrets ?? {}, fieldsThatDiffer),
];

function compare<T extends object>(
  part: Change["part"],
  before: Readonly<Record<string, T>>,
  after: Readonly<Record<string, T>>,
  differ: (before: T, after: T) => readonly string[],
): Change[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.flatMap((name): Change[] => {
    const [old, next] = [own(before, name), own(after, name)];
    if (!old || !next) return [{ part, name, change: next ? "added" : "removed", fields: [] }];
    const fields = differ(old, next);
    return fields.length > 0 ? [{ part, name, change: "changed", fields }] : [];
  });
}

function fieldsThatDiffer(before: object, after: object): string[] {
  const [old, next] = [
    new Map<string, unknown>(Object.entries(before)),
    new Map<string, unknown>(Object.entries(after)),
  ];
  return [...new Set([...old.keys(), ...next.keys()])]
    .filter((field) => !sameJson(old.get(field) ?? null, next.get(field) ?? null))
    .sort();
}

const serviceFields = (before: ServiceEntry, after: ServiceEntry): string[] => {
  const inside = (field: string, old: object, next: object) =>
    fieldsThatDiffer(old, next).map((name) => `${field}.${name}`);
  return [
    ...fieldsThatDiffer(before, after).filter((field) => field !== "environment" && field !== "labels"),
    ...inside("environment", environmentIn(before), environmentIn(after)),
    ...inside("labels", labelsOf(before), labelsOf(after)),
  ].sort();
};
