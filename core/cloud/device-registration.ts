import { register, Registered, type Registration } from "../api/cloud/register.ts";
import { deviceState } from "../api/cloud/state.ts";
import { parseJson } from "../model/json.ts";
import type { TransientError } from "../model/retry.ts";
import { deriveServiceKey } from "../model/service-key.ts";
import { messageOf } from "../model/show.ts";
import type { Clock } from "../ports/clock.ts";
import type { CloudAnswer } from "../ports/cloud.ts";
import { emitChanges, type EventSink } from "../events/events.ts";
import type { Attempt } from "../retry.ts";
import type { Documents } from "../state/documents.ts";
import { retry, transientError, type DeviceApiClient } from "./device-api-client.ts";

/** The fleet to register with. */
export interface Provisioning {
  /** This key may only register devices. */
  readonly key: string;
  readonly applicationId: number;
  readonly userId?: number;
}

/** The properties of the device that a registration contains. */
export interface RegistrationFacts {
  readonly uuid: string;
  readonly type: string;
  /** Undefined: the cloud cannot compare the version of this operating system. */
  readonly osVersion: string | undefined;
  readonly osVariant: "dev" | "prod";
  readonly supervisorVersion: string;
  readonly macAddress: string;
}

/** The cloud's answer to a registration. */
export type RegistrationOutcome =
  | { readonly is: "done"; readonly key: string; readonly id: number }
  /** A device with this uuid is registered. It may be this device, if an earlier answer was lost. */
  | { readonly is: "uuidTaken" }
  /** The proposed key belongs to another device. */
  | { readonly is: "keyTaken" }
  | ({ readonly is: "failed" } & TransientError);

/** Source: recorded answers to `POST /device/register`. */
export function registrationOutcome(answer: CloudAnswer): RegistrationOutcome {
  const { status, text } = answer;
  if (status === 409) return { is: /key\\?" must be unique/.test(text) ? "keyTaken" : "uuidTaken" };
  const parsed = status === 201 ? Registered.safeParse(parseJson(text)).data : undefined;
  if (parsed) return { is: "done", key: parsed.api_key, id: parsed.id };
  // The text is not logged: it may contain a key.
  if (status === 201) return { is: "failed", why: "it answered 201 without a registration" };
  // Every refusal is retried: the user may add the missing fleet or key in the cloud.
  const { why, retryAfterMs } = transientError(answer);
  const advice = registrationAdvice(answer);
  return { is: "failed", why: advice === undefined ? why : `${why} (${advice})`, retryAfterMs };
}

/** Advice on a refused registration. Source: the recorded refusals. */
export function registrationAdvice({ status, text }: Pick<CloudAnswer, "status" | "text">): string | undefined {
  switch (status) {
    case 401:
      return text.includes("API key required")
        ? "it does not know the provisioning key; if that lasts, make a new one for the fleet, or download its config.json again"
        : "the provisioning key is not one of this fleet: key and fleet must be of the same config.json";
    case 403:
      return "the fleet is for devices of another kind: choose another fleet, or another type of it";
    case 404:
      return "set deviceType in config.json to one that the cloud knows";
    default:
      return undefined;
  }
}

/**
 * The versions in a registration. The public cloud rejects an agent's version without an operating system's version, since
 * it then considers the device too old.
 */
export const versionFields = ({
  osVersion,
  osVariant,
  supervisorVersion,
}: Pick<RegistrationFacts, "osVersion" | "osVariant" | "supervisorVersion">): Registration => ({
  ...(osVersion !== undefined && { supervisor_version: supervisorVersion, os_version: osVersion }),
  os_variant: osVariant,
});

/** The body of `POST /device/register`. */
export const registrationBody = (
  { applicationId, userId }: Provisioning,
  { uuid, type, macAddress, ...versions }: RegistrationFacts,
  key: string,
): Registration => ({
  ...(userId !== undefined && { user: userId }),
  application: applicationId,
  device_type: type,
  uuid,
  api_key: key,
  ...versionFields(versions),
  ...(macAddress && { mac_address: macAddress }),
});

interface Parts {
  readonly documents: Pick<Documents, "read" | "write">;
  readonly clock: Pick<Clock, "token">;
  readonly client: DeviceApiClient;
  readonly events: EventSink;
  readonly device: () => RegistrationFacts;
  /** The cloud's address. The key for one cloud is not sent to another. */
  readonly endpoint: string;
  /** The key of a device that is registered already; empty if there is none. */
  readonly givenKey: string;
  readonly provisioning: Provisioning | undefined;
  /** The name that the device gets after it has registered. */
  readonly initialName: string | undefined;
}

const retryPolicy = { firstMs: 5_000, maxMs: 5 * 60_000 };
/** 256 bits, like the keys that clouds generate. */
const keyBytes = 32;

/** The device key (from the configuration or a registration), and the key for services. */
export class DeviceRegistration {
  readonly #parts: Parts;
  #key: string | undefined;
  #derivedKey: string | undefined;
  /** Whether the cloud accepts derived keys. */
  #derives = false;
  readonly #registered = Promise.withResolvers<string>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async load(): Promise<void> {
    const { documents, givenKey, endpoint } = this.#parts;
    const [device, deriving] = await Promise.all([documents.read("cloud-device"), documents.read("deriving-cloud")]);
    this.#derives = deriving === endpoint;
    if (givenKey) await this.#use(givenKey);
    else if (device?.endpoint === endpoint && device.registered) await this.#use(device.key);
  }

  /** Undefined until the device is registered. */
  key(): string | undefined {
    return this.#key;
  }

  /** The key for services: a derived one, if the cloud accepts those. Undefined until the device is registered. */
  serviceKey(): string | undefined {
    return this.#derives ? this.#derivedKey : this.#key;
  }

  /** Stores that the cloud accepts derived keys, for outages of the cloud. Resolves with whether this is new. */
  async useDerivedKeys(): Promise<boolean> {
    if (this.#derives) return false;
    await this.#parts.documents.write({ "deriving-cloud": this.#parts.endpoint });
    this.#derives = true;
    return true;
  }

  /** Resolves when the device is registered. */
  registered(): Promise<string> {
    return this.#registered.promise;
  }

  /** Registers if necessary. Resolves when the device is registered or the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { events, client, provisioning } = this.#parts;
    if (this.#key !== undefined) return;
    if (!provisioning) return events.emit({ kind: "registrationImpossible" });
    const report = emitChanges(events);
    const tried = await client.keepTrying(retryPolicy, () => this.#attempt(provisioning, signal), {
      signal,
      onFailure: ({ why }) => report({ kind: "registrationFailed", reason: why }),
    });
    if (tried.is === "done") events.emit({ kind: "registered" });
  }

  async #attempt(provisioning: Provisioning, signal: AbortSignal): Promise<Attempt<void>> {
    const { client, device } = this.#parts;
    try {
      // The key is stored before it is sent: the cloud may have stored it even if its answer is lost.
      const key = await this.#proposedKey();
      const json = registrationBody(provisioning, device(), key);
      const outcome = registrationOutcome(await client.call(register, { key: provisioning.key, json }, signal));
      switch (outcome.is) {
        case "done":
          await this.#store(outcome.key, outcome.id);
          return { ok: true, value: undefined };
        case "uuidTaken":
          return await this.#claim(key, signal);
        case "keyTaken":
          await this.#forgetProposed();
          return { ok: false, why: "another device has the key that was generated" };
        case "failed":
          return { ok: false, ...outcome };
      }
    } catch (error) {
      return { ok: false, why: messageOf(error) };
    }
  }

  /** Stores the key if the cloud accepts it for this device. */
  async #claim(key: string, signal: AbortSignal): Promise<Attempt<void>> {
    const { client, device } = this.#parts;
    const answer = await client.call(deviceState, { params: { uuid: device().uuid }, key }, signal);
    if (answer.status === 200) {
      await this.#store(key, undefined);
      return { ok: true, value: undefined };
    }
    return answer.status === 401
      ? {
          ok: false,
          why: "it has a device with this uuid under another key; remove that one there, or put its key into config.json as deviceApiKey",
        }
      : retry(answer);
  }

  async #proposedKey(): Promise<string> {
    const { documents, endpoint, clock } = this.#parts;
    const kept = await documents.read("cloud-device");
    if (kept?.endpoint === endpoint) return kept.key;
    const key = clock.token(keyBytes);
    await documents.write({ "cloud-device": { endpoint, key, registered: false } });
    return key;
  }

  async #forgetProposed(): Promise<void> {
    await this.#parts.documents.write({ "cloud-device": undefined });
  }

  async #store(key: string, id: number | undefined): Promise<void> {
    const { documents, endpoint, initialName: unsentName } = this.#parts;
    await documents.write({ "cloud-device": { endpoint, key, registered: true, id, unsentName } });
    await this.#use(key);
  }

  async #use(key: string): Promise<void> {
    this.#derivedKey = await deriveServiceKey(key);
    this.#key = key;
    this.#registered.resolve(key);
  }
}
