import * as z from "zod";
import { own, sameJson } from "../model/json.ts";
import { didYouMean } from "../model/nearest.ts";
import type { VolumeSpec } from "../model/network.ts";
import { show } from "../model/show.ts";
import { defaultRules, type ApplyCondition, type Gates, type UpdateRules } from "../model/update.ts";
import { parseWindows } from "../model/window.ts";
import { Duration, parseDuration } from "./quantities.ts";

/**
 * The words that say how an application is updated: labels of services and volumes, compose's `deploy.update_config`, and
 * config variables, which are the defaults for all applications. They are read from the target state only.
 */

/** A word, which is a label `io.balena.update.<name>` and a variable `SUPERVISOR_UPDATE_<NAME>`. */
interface Word<T> {
  readonly name: string;
  readonly parse: (text: string) => Parsed<T>;
}

type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly expected: string };

const parseOr = <T>(value: T | undefined, expected: string): Parsed<T> =>
  value === undefined ? { ok: false, expected: `expected ${expected}` } : { ok: true, value };

function parseMs(text: string): number | undefined {
  const nanoseconds = parseDuration(text);
  return nanoseconds !== undefined && Number.isFinite(nanoseconds) ? Math.ceil(nanoseconds / 1e6) : undefined;
}

const aDuration = "a duration such as 30s or 5m";
const duration = (name: string): Word<number> => ({ name, parse: (text) => parseOr(parseMs(text), aDuration) });

const flag = (name: string): Word<boolean> => ({
  name,
  parse: (text) => {
    const word = text.toLowerCase();
    const isOn = ["true", "on", "1"].includes(word);
    return parseOr(isOn || ["false", "off", "0"].includes(word) ? isOn : undefined, "true or false");
  },
});

const oneOf = <const T extends string>(name: string, values: readonly T[]): Word<T> => ({
  name,
  parse: (text) =>
    parseOr(
      values.find((one) => one === text),
      values.join(" or "),
    ),
});

type Named = { readonly is: "window" } | Exclude<ApplyCondition, { is: "window" }>;

function parseCondition(text: string): Named | undefined {
  if (text === "reboot" || text === "window" || text === "consent") return { is: text };
  const [, time = ""] = /^idle=(.+)$/.exec(text) ?? [];
  const forMs = parseMs(time);
  return forMs === undefined ? undefined : { is: "idle", forMs };
}

const monitor = duration("monitor");
const confirm = flag("confirm");
const cloud = flag("cloud");
const http: Word<NonNullable<Gates["http"]>> = {
  name: "http",
  parse: (text) => {
    const [, port = "", path = "/"] = /^(\d{1,5})(\/[!-~]*)?$/.exec(text) ?? [];
    const isPort = Number(port) >= 1 && Number(port) <= 65_535;
    return parseOr(isPort ? { port: Number(port), path } : undefined, "a port and a path such as 8080/healthz");
  },
};
const failureAction = oneOf("failure-action", ["rollback", "pause", "continue"]);
const deadline = duration("deadline");
const apply: Word<readonly Named[]> = {
  name: "apply",
  parse: (text) => {
    const conditions = text === "now" ? [] : text.split(/[\s,]+/).map(parseCondition);
    const known = conditions.filter((one) => one !== undefined);
    const isRight = known.length === conditions.length && new Set(known.map(({ is }) => is)).size === known.length;
    return parseOr(isRight ? known : undefined, "now, or some of reboot, window, consent and idle=10m, each once");
  },
};
const windows: Word<Extract<ApplyCondition, { is: "window" }>["windows"]> = {
  name: "window",
  parse: (text) => {
    const parsed = parseWindows(text);
    return parsed.ok ? { ok: true, value: parsed.windows } : parsed;
  },
};
const applyBy: Word<number | "never"> = {
  name: "apply-by",
  parse: (text) => parseOr(text === "never" ? text : parseMs(text), "never, or a duration such as 12h or 168h"),
};
const onDiskShort = oneOf("on-disk-short", ["wait", "delete-then-download"]);
const snapshot = flag("snapshot");

const words: readonly Word<unknown>[] = [
  ...[monitor, http, confirm, cloud],
  ...[failureAction, deadline, apply, windows, applyBy, onDiskShort, snapshot],
];

/** The names of all words. */
export const updateWords: readonly string[] = words.map(({ name }) => name);

const prefix = "io.balena.update.";
const labelOf = ({ name }: Word<unknown>): string => prefix + name;
const variableOf = ({ name }: Word<unknown>): string => `SUPERVISOR_UPDATE_${name.toUpperCase().replaceAll("-", "_")}`;

const wordLabels = new Set(words.map(labelOf));
/** These labels are read elsewhere, and a container has them. */
const otherLabels = ["strategy", "handover-timeout", "requires-reboot"].map((name) => prefix + name);

/** Labels of a container without the words of the update: another window, for example, must not replace a container. */
export const withoutUpdateWords = (labels: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).filter(([name]) => !wordLabels.has(name)));

/** `deploy` of a service: the parts that are read. */
export const Deploy = z.looseObject({
  update_config: z
    .looseObject({
      monitor: Duration.nullish(),
      failure_action: z.enum(["continue", "pause", "rollback"]).nullish(),
      order: z.enum(["start-first", "stop-first"]).nullish(),
    })
    .nullish(),
});

/** Fields of `deploy` that are known and not used. */
const unusedFields = [
  ...["parallelism", "delay", "max_failure_ratio"].map((name) => `update_config.${name}`),
  "rollback_config",
];
const usedFields = ["update_config.monitor", "update_config.failure_action", "update_config.order"];
export const whyUnused = "not used, left out: a service has one container, and a failed update has one way back";

/** The fields of `deploy` that have no effect, as paths in it. */
export function deployFieldsWithoutEffect(deploy: unknown): {
  readonly unused: readonly string[];
  readonly unknown: readonly { readonly field: string; readonly meant: string }[];
} {
  const fields = keysOf(deploy).flatMap((key) =>
    key === "update_config" ? keysOf(valueIn(deploy, key)).map((inner) => `${key}.${inner}`) : [key],
  );
  return {
    unused: fields.filter((field) => unusedFields.includes(field)),
    unknown: fields
      .filter((field) => ![...usedFields, ...unusedFields].includes(field) && !/(^|\.)x-/.test(field))
      .map((field) => ({ field, meant: didYouMean(field, usedFields) })),
  };
}

/** `deploy` as written, without the fields that have no effect. */
export function usedDeploy(deploy: unknown): object {
  const config = valueIn(deploy, "update_config");
  const used = keysOf(config).filter((field) => usedFields.includes(`update_config.${field}`));
  return { update_config: Object.fromEntries(used.map((field) => [field, valueIn(config, field)])) };
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;
const keysOf = (value: unknown): readonly string[] =>
  isObject(value) && !Array.isArray(value) ? Object.keys(value) : [];
const valueIn = (value: unknown, key: string): unknown =>
  isObject(value) ? Object.getOwnPropertyDescriptor(value, key)?.value : undefined;

type Config = Readonly<Record<string, string>>;

/** The words of one service. */
export interface ServiceWords {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly deploy: z.output<typeof Deploy> | null | undefined;
  /** Shows the path of a label, and of the service's compose fields. */
  readonly pathOf: (label: string) => string;
  readonly composePath: string;
}

/** A label may be an address with a token. */
const shown = (text: string): string => show(text.replace(/\?.*$/s, "?…").slice(0, 80));

/** The value of a label; undefined without the label, and if it is wrong. */
function fromLabel<T>(
  word: Word<T>,
  { labels, pathOf }: Pick<ServiceWords, "labels" | "pathOf">,
  faults: string[],
): T | undefined {
  const text = own(labels, labelOf(word));
  if (text === undefined) return undefined;
  const parsed = word.parse(text.trim());
  if (parsed.ok) return parsed.value;
  faults.push(`${pathOf(labelOf(word))}: ${parsed.expected}, but got ${shown(text)}`);
  return undefined;
}

/** The value of a config variable; undefined without it, and if it is wrong, for which there is a warning. */
function fromVariable<T>(word: Word<T>, config: Config): T | undefined {
  const parsed = word.parse((own(config, variableOf(word)) ?? "").trim());
  return parsed.ok ? parsed.value : undefined;
}

/** Warnings about config variables, by their names. An empty value counts as none. */
export function updateVariableWarnings(config: Config): Readonly<Record<string, string>> {
  const known = words.map(variableOf);
  return Object.fromEntries(
    Object.entries(config).flatMap(([name, text]): [string, string][] => {
      // The cloud makes a label of it.
      if (!name.startsWith("SUPERVISOR_UPDATE_") || name === "SUPERVISOR_UPDATE_STRATEGY" || text.trim() === "")
        return [];
      const word = words.find((one) => variableOf(one) === name);
      if (!word) return [[name, `not known${didYouMean(name, known)}`]];
      const parsed = word.parse(text.trim());
      return parsed.ok ? [] : [[name, `${parsed.expected}, but got ${shown(text)}; the default is used`]];
    }),
  );
}

/** A warning for each label of a service with the prefix of these words that is none of a service's. */
export const unknownWords = ({ labels, pathOf }: ServiceWords): readonly string[] =>
  Object.keys(labels).flatMap((name) => {
    if (name === labelOf(snapshot)) return [`${pathOf(name)}: without an effect here; it is a label of volumes`];
    if (!name.startsWith(prefix) || wordLabels.has(name) || otherLabels.includes(name)) return [];
    return [`${pathOf(name)}: not known, so without an effect${didYouMean(name, [...wordLabels, ...otherLabels])}`];
  });

/** The gates of a service; undefined if it has no word for one. */
export function gatesOf(service: ServiceWords, config: Config, faults: string[]): Gates | undefined {
  const read = <T>(word: Word<T>, ofCompose?: T) =>
    fromLabel(word, service, faults) ?? ofCompose ?? fromVariable(word, config);
  const nanoseconds = service.deploy?.update_config?.monitor ?? undefined;
  const monitorMs = read(monitor, nanoseconds === undefined ? undefined : Math.ceil(nanoseconds / 1e6));
  const address = read(http);
  const gates: Gates = {
    ...(monitorMs !== undefined && { monitorMs }),
    ...(address && { http: address }),
    ...(read(confirm) && { confirm: true }),
    ...(read(cloud) && { cloud: true }),
  };
  return Object.keys(gates).length > 0 ? gates : undefined;
}

/** The strategy that compose's words ask for. The label has priority. */
export const strategyOfOrder = (deploy: ServiceWords["deploy"]): "hand-over" | "download-then-kill" | undefined => {
  const order = deploy?.update_config?.order;
  return order ? (order === "start-first" ? "hand-over" : "download-then-kill") : undefined;
};

/** The rules of an application; undefined if it has no word for one. Its words may be labels of any of its services. */
export function rulesOf(
  services: readonly ServiceWords[],
  config: Config,
  faults: string[],
  warnings: string[],
): UpdateRules | undefined {
  const labelled = <T>(word: Word<T>) => {
    const all = services.flatMap((service) => {
      const value = fromLabel(word, service, faults);
      const text = own(service.labels, labelOf(word)) ?? "";
      return value === undefined ? [] : [{ of: service.name, path: service.pathOf(labelOf(word)), value, text }];
    });
    return onlyOne(all, faults);
  };
  const read = <T>(word: Word<T>) => labelled(word) ?? fromVariable(word, config);
  const actions = services.flatMap(({ name, deploy, composePath }) => {
    const value = deploy?.update_config?.failure_action;
    const path = `${composePath}.deploy.update_config.failure_action`;
    return value ? [{ of: name, path, value, text: value }] : [];
  });
  const action = labelled(failureAction) ?? onlyOne(actions, faults) ?? fromVariable(failureAction, config);
  const deadlineMs = read(deadline);
  const ownTimes = labelled(windows);
  const times = ownTimes ?? fromVariable(windows, config);
  const named = read(apply);
  const applyByMs = read(applyBy);
  const whenShort = read(onDiskShort);
  if ([action, deadlineMs, times, named, applyByMs, whenShort].every((one) => one === undefined)) return undefined;
  const [first] = services.filter(({ labels }) => own(labels, labelOf(apply)) !== undefined);
  const of = first ? first.pathOf(labelOf(apply)) : variableOf(apply);
  const without = `without ${labelOf(windows)} or ${variableOf(windows)}`;
  if (!times && named?.some(({ is }) => is === "window")) warnings.push(`${of}: window has no effect ${without}`);
  const isLeftOut = times !== undefined && named?.every(({ is }) => is !== "window");
  // A label may release an application from the window of all others.
  if (isLeftOut && (ownTimes || !first))
    warnings.push(`${of}: the window has no effect, since "window" is not one of the conditions`);
  // A window is meant to hold updates up, also if nothing says so.
  const conditions = named ?? (times ? [{ is: "window" as const }] : []);
  return {
    failureAction: action ?? defaultRules.failureAction,
    deadlineMs: deadlineMs ?? defaultRules.deadlineMs,
    apply: conditions.flatMap((one): readonly ApplyCondition[] =>
      one.is !== "window" ? [one] : times ? [{ is: "window", windows: times }] : [],
    ),
    ...(typeof applyByMs === "number" && { applyByMs }),
    onDiskShort: whenShort ?? defaultRules.onDiskShort,
  };
}

interface Said<T> {
  readonly of: string;
  readonly path: string;
  readonly value: T;
  readonly text: string;
}

/** The value of an application's word. Different values are a fault. */
function onlyOne<T>([first, ...others]: readonly Said<T>[], faults: string[]): T | undefined {
  const other = others.find(({ value }) => !sameJson(value, first?.value));
  if (first && other)
    faults.push(
      `${other.path}: expected one value for the whole application, but got ${shown(other.text)}, and the service ${first.of} has ${shown(first.text)}`,
    );
  return first?.value;
}

/** Marks the volumes of which a copy is made before an update. The variable counts for the engine's own volumes only. */
export function withSnapshots(
  volumes: Readonly<Record<string, VolumeSpec>>,
  config: Config,
  pathOf: (volume: string) => string,
  faults: string[],
  warnings: string[],
): Readonly<Record<string, VolumeSpec>> {
  const byDefault = fromVariable(snapshot, config) ?? false;
  return Object.fromEntries(
    Object.entries(volumes).map(([name, volume]) => {
      const written = { labels: volume.labels, pathOf: (label: string) => `${pathOf(name)}.labels.${label}` };
      const isOwn = volume.driver === "local" && Object.keys(volume.driverOptions).length === 0;
      const label = fromLabel(snapshot, written, faults);
      if (label && !isOwn)
        warnings.push(
          `${written.pathOf(labelOf(snapshot))}: without an effect, since the data of a volume with a driver or driver_opts may be elsewhere`,
        );
      return [name, isOwn && (label ?? byDefault) ? { ...volume, snapshot: true } : volume];
    }),
  );
}
