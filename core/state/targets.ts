import * as z from "zod";
import { maskedFaults, parseCloudTarget, parseLocalTarget, type ParsedTarget } from "../compose/target-state.ts";
import type { Identify } from "../compose/files.ts";
import type { RequirementFacts } from "../compose/requirements.ts";
import { fullConfig, isOn } from "../model/config.ts";
import { sameJson } from "../model/json.ts";
import { findApp, type App, type TargetState } from "../model/target.ts";
import type { AppSource, Documents, LeftApplication } from "./documents.ts";

/** The part of an accepted body that is stored unchanged. */
const LocalBody = z.object({ local: z.looseObject({ apps: z.record(z.string(), z.unknown()) }) });
type LocalBody = z.output<typeof LocalBody>;

/** The applications in a cloud's target state, by device and then by their uuids. */
const CloudApps = z.record(z.string(), z.looseObject({ apps: z.record(z.string(), z.unknown()) }));

/** The target state before any has been set: it changes nothing on the device. */
const nothing: TargetState = { name: "local", config: {}, apps: [], unset: true };

const localModeRefused =
  "SUPERVISOR_LOCAL_MODE is refused: the device stays managed, since its config.json does not say developmentMode: true (fairlead join --dev)";

/** An accepted target state of the cloud, and whether it differs from the previous one. */
export type Taken = Extract<ParsedTarget, { ok: true }> & { readonly isNew: boolean };

/**
 * The accepted target states of the developer and of the cloud. In local mode, the developer's is in effect. A device
 * without a cloud is always in local mode. A cloud may switch only a development device to local mode.
 */
export class Targets {
  #local: { readonly body: LocalBody; readonly target: TargetState } | undefined;
  #cloud: { readonly body: object; readonly target: TargetState } | undefined;
  /** The cloud's target state without its applications. */
  #bare: { readonly of: TargetState; readonly target: TargetState } | undefined;
  /** The applications that the cloud had assigned to this device and has removed from its target state. */
  #left: readonly LeftApplication[] = [];
  readonly #documents: Documents;
  readonly #facts: RequirementFacts;
  readonly #identify: Identify | undefined;
  readonly #uuid: string;
  readonly #developmentMode: boolean;
  readonly managed: boolean;

  constructor(
    documents: Documents,
    {
      facts,
      uuid,
      managed,
      developmentMode = false,
      identify,
    }: { facts: RequirementFacts; uuid: string; managed: boolean; developmentMode?: boolean; identify?: Identify },
  ) {
    this.#developmentMode = developmentMode;
    this.#documents = documents;
    this.#facts = facts;
    this.#identify = identify;
    this.#uuid = uuid;
    this.managed = managed;
  }

  async load(): Promise<void> {
    const [local, cloud, name, left] = await Promise.all([
      this.#documents.read("local-target"),
      this.#documents.read("cloud-target"),
      this.#documents.read("device-name"),
      this.#documents.read("left-applications"),
    ]);
    const parsedLocal = local && parseLocalTarget(local, this.#facts, name ?? nothing.name, this.#identify);
    if (local && parsedLocal?.ok) this.#local = { body: LocalBody.parse(local), target: parsedLocal.target };
    const parsedCloud = cloud && this.#parseCloud(cloud);
    this.#left = left ?? [];
    if (cloud && parsedCloud?.ok) this.#cloud = { body: cloud, target: withLeft(parsedCloud.target, this.#left) };
  }

  isLocalMode(): boolean {
    return !this.managed || isOn(this.cloudConfig(), "SUPERVISOR_LOCAL_MODE");
  }

  /** Whether the cloud has sent a target state. */
  hasCloud(): boolean {
    return this.#cloud !== undefined;
  }

  /** The cloud's config variables, also in local mode. */
  cloudConfig(): Readonly<Record<string, string>> {
    return this.#cloud?.target.config ?? {};
  }

  /** The cloud's target state as it was sent; undefined in local mode, in which it is not in effect. */
  cloudBody(): object | undefined {
    return this.isLocalMode() ? undefined : this.#cloud?.body;
  }

  /** The target state in effect. Returns the same object until it changes. */
  current(): TargetState {
    const base = this.#cloud?.target ?? nothing;
    if (!this.isLocalMode()) return base;
    if (this.#local) return this.#local.target;
    if (this.#bare?.of !== base) this.#bare = { of: base, target: { ...base, apps: [] } };
    return this.#bare.target;
  }

  /** The part of the target state in effect that describes an application. */
  sourceOf(appId: number): AppSource | undefined {
    const app = findApp(this.current(), appId);
    if (!app) return undefined;
    if (this.isLocalMode()) {
      const entry = Object.entries(this.#local?.body.local.apps ?? {}).find(([key]) => Number(key) === appId);
      return entry && { of: "developer", key: entry[0], body: entry[1] };
    }
    const apps = CloudApps.safeParse(this.#cloud?.body).data?.[this.#uuid]?.apps ?? {};
    return Object.hasOwn(apps, app.uuid) ? { of: "cloud", key: app.uuid, body: apps[app.uuid] } : undefined;
  }

  /** Undefined: this version of the agent does not accept it any more. */
  parseSource({ of, key, body }: AppSource): App | undefined {
    const apps = { [key]: body };
    const parsed =
      of === "developer"
        ? parseLocalTarget({ local: { apps } }, this.#facts, nothing.name, this.#identify)
        : parseCloudTarget({ [this.#uuid]: { name: "", config: {}, apps } }, this.#facts, this.#uuid, this.#identify);
    const [app] = parsed.ok ? parsed.target.apps : [];
    if (!app) return undefined;
    // It has run on this device.
    const { rejected: _, ...accepted } = app;
    return accepted;
  }

  /** Parses a developer's target state, and keeps the old one. */
  parseLocal(body: unknown): ParsedTarget {
    const faults = maskedFaults(body);
    if (faults.length > 0) return { ok: false, faults };
    return parseLocalTarget(body, this.#facts, this.current().name, this.#identify);
  }

  /** Accepts a developer's target state, or returns its faults and keeps the old one. */
  async setLocal(body: unknown): Promise<ParsedTarget> {
    const parsed = this.parseLocal(body);
    if (!parsed.ok) return parsed;
    const kept = LocalBody.parse(body);
    await this.#documents.write({ "local-target": kept, "device-name": parsed.target.name });
    this.#local = { body: kept, target: parsed.target };
    return parsed;
  }

  /** The same for the cloud's target state. An unchanged body has no effect. */
  async setCloud(body: object): Promise<Taken | Extract<ParsedTarget, { ok: false }>> {
    const parsed = this.#parseCloud(body);
    if (!parsed.ok) return parsed;
    const isNew = JSON.stringify(body) !== JSON.stringify(this.#cloud?.body);
    if (isNew) {
      const left = leftAfter(this.#left, this.#cloud?.target.apps ?? [], parsed.target.apps);
      await this.#documents.write({ "cloud-target": body, "left-applications": left.length > 0 ? left : undefined });
      this.#left = left;
      this.#cloud = { body, target: withLeft(parsed.target, left) };
    }
    return { ...parsed, isNew };
  }

  /** Called when the cloud has confirmed its target state. True: it is now confirmed that the device has left an application. */
  async confirmLeft(now: number): Promise<boolean> {
    const left = this.#left.map((one) => {
      const missingSince = one.missingSince ?? now;
      return { ...one, missingSince, confirmed: one.confirmed || now - missingSince >= confirmationMs };
    });
    const isNew = left.some(({ confirmed }, n) => confirmed !== this.#left[n]?.confirmed);
    await this.#setLeft(left);
    return isNew;
  }

  /** Called when all objects of an application that the device has left are removed. */
  async forgetLeft(appId: number): Promise<void> {
    await this.#setLeft(this.#left.filter((one) => one.appId !== appId));
  }

  async #setLeft(left: readonly LeftApplication[]): Promise<void> {
    if (sameJson(left, this.#left)) return;
    await this.#documents.write({ "left-applications": left.length > 0 ? left : undefined });
    this.#left = left;
    if (this.#cloud) this.#cloud = { ...this.#cloud, target: withLeft(this.#cloud.target, left) };
  }

  /** Local mode opens the API without keys, so a cloud may switch it on only if the device's config.json allows it. */
  #parseCloud(body: object): ParsedTarget {
    const parsed = parseCloudTarget(body, this.#facts, this.#uuid, this.#identify);
    if (!parsed.ok || this.#developmentMode || !isOn(parsed.target.config, "SUPERVISOR_LOCAL_MODE")) return parsed;
    const { SUPERVISOR_LOCAL_MODE: _, ...config } = parsed.target.config;
    return { ...parsed, target: { ...parsed.target, config }, warnings: [...parsed.warnings, localModeRefused] };
  }

  /** The current target in the form that `setLocal` accepts, so that a client can send it back unchanged. */
  show(): { local: { name: string; config: Record<string, string>; apps: Record<string, unknown> } } {
    const { name, config } = this.current();
    const localMode = this.isLocalMode();
    return {
      local: {
        name,
        config: fullConfig({ SUPERVISOR_LOCAL_MODE: String(localMode), ...config }),
        apps: localMode ? (this.#local?.body.local.apps ?? {}) : {},
      },
    };
  }
}

/** The minimum time between the cloud's first answer without an application and the answer that confirms it. */
const confirmationMs = 10 * 60_000;

const leftAfter = (
  left: readonly LeftApplication[],
  before: readonly App[],
  after: readonly App[],
): readonly LeftApplication[] =>
  [
    ...left,
    ...before
      .filter(({ appId }) => !left.some((one) => one.appId === appId))
      .map(({ appId, uuid, name }) => ({ appId, uuid, name, confirmed: false })),
  ].filter(({ appId }) => !after.some((app) => app.appId === appId));

const withLeft = ({ left: _, ...target }: TargetState, left: readonly LeftApplication[]): TargetState => ({
  ...target,
  ...(left.length > 0 && {
    left: left.map(({ appId, uuid, name, confirmed }) => ({ appId, uuid, name, confirmed })),
  }),
});
