import * as z from "zod";
import { deriveServiceKey } from "../model/service-key.ts";
import type { Clock } from "../ports/clock.ts";
import type { Cloud, CloudAnswer } from "../ports/cloud.ts";
import type { Log } from "../ports/log.ts";
import type { Documents } from "../state/documents.ts";
import { setback, type Setback } from "./answers.ts";
import type { RetryPause } from "./reachability.ts";
import { waitMs } from "./pace.ts";
import { messageOf } from "../model/show.ts";
import { parseJson } from "../model/json.ts";

/** What makes a machine a device of a fleet. */
export interface Provisioning {
  /** Good for nothing but to register. */
  readonly key: string;
  readonly applicationId: number;
  readonly userId?: number;
}

/** What the cloud is told of the device when it registers. */
export interface Newcomer {
  readonly uuid: string;
  readonly type: string;
  /** As the cloud can compare it; undefined: it has no such version. */
  readonly osVersion: string | undefined;
  readonly osVariant: "dev" | "prod";
  readonly supervisorVersion: string;
  readonly macAddress: string;
}

/** What came of an attempt to register. */
export type Registered =
  | { readonly is: "done"; readonly key: string; readonly id: number }
  /** There is a device with this uuid: perhaps this one, if an earlier answer was lost. */
  | { readonly is: "known" }
  /** The key that we made up is somebody's already. */
  | { readonly is: "keyTaken" }
  | ({ readonly is: "setback" } & Setback);

const Answer = z.object({ id: z.int(), uuid: z.string(), api_key: z.string().min(1) });

/** Source: recorded answers to `POST /device/register`. */
export function judgeRegistration(answer: CloudAnswer): Registered {
  const { status, text } = answer;
  if (status === 409) return { is: /key\\?" must be unique/.test(text) ? "keyTaken" : "known" };
  const parsed = status === 201 ? Answer.safeParse(parseJson(text)).data : undefined;
  if (parsed) return { is: "done", key: parsed.api_key, id: parsed.id };
  // Its text is not repeated: there may be a key in it.
  if (status === 201) return { is: "setback", why: "it answered 201 with something that is no registration" };
  // Whatever it is, somebody may put it right in the cloud: a fleet of that id, a key that is good for it.
  const { why, retryAfterMs } = setback(answer);
  const advice = registrationAdvice(answer);
  return { is: "setback", why: advice === undefined ? why : `${why} (${advice})`, retryAfterMs };
}

/** What to do about a refused registration, as far as the answer tells. Source: the recorded refusals. */
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
 * What a registration says of versions. The public cloud refuses a version of the agent without one of the operating system:
 * it takes that for a device that is too old to tell.
 */
export const versionFields = ({
  osVersion,
  osVariant,
  supervisorVersion,
}: Pick<Newcomer, "osVersion" | "osVariant" | "supervisorVersion">): object => ({
  ...(osVersion !== undefined && { supervisor_version: supervisorVersion, os_version: osVersion }),
  os_variant: osVariant,
});

/** The body of `POST /device/register`. */
export const registrationBody = (
  { applicationId, userId }: Provisioning,
  { uuid, type, macAddress, ...versions }: Newcomer,
  key: string,
): object => ({
  ...(userId !== undefined && { user: userId }),
  application: applicationId,
  device_type: type,
  uuid,
  api_key: key,
  ...versionFields(versions),
  ...(macAddress && { mac_address: macAddress }),
});

interface Parts {
  readonly documents: Documents;
  readonly clock: Clock;
  readonly ask: Cloud;
  /** Between an attempt that failed and the next one. */
  readonly pause: RetryPause;
  readonly log: Log;
  readonly newcomer: () => Newcomer;
  /** Of the cloud: what one has given us is for no other. */
  readonly endpoint: string;
  /** Of a device that is registered already. */
  readonly givenKey: string;
  readonly provisioning: Provisioning | undefined;
  /** What a device is to be called that has registered just now. */
  readonly initialName: string | undefined;
}

const patience = { firstMs: 5_000, limitMs: 5 * 60_000 };
const timeoutMs = 59_000;
/** 256 bits, as clouds make them. */
const keyBytes = 32;

/** The key by which the cloud knows this device: given, or got by registering and kept. And what services get of it. */
export class Registration {
  readonly #parts: Parts;
  #key: string | undefined;
  #derivedKey: string | undefined;
  /** The cloud knows derived keys. */
  #derives = false;
  readonly #known = Promise.withResolvers<string>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async load(): Promise<void> {
    const { documents, givenKey, endpoint } = this.#parts;
    const [kept, deriving] = await Promise.all([documents.read("cloud-device"), documents.read("deriving-cloud")]);
    this.#derives = deriving === endpoint;
    if (givenKey) await this.#learn(givenKey);
    else if (kept?.endpoint === endpoint && kept.registered) await this.#learn(kept.key);
  }

  /** Undefined until the device is registered. */
  key(): string | undefined {
    return this.#key;
  }

  /**
   * The key for services that speak with the cloud: one that can do less than the device's own, where the cloud knows such
   * keys. Undefined until the device is registered.
   */
  serviceKey(): string | undefined {
    return this.#derives ? this.#derivedKey : this.#key;
  }

  /** The cloud has said that it knows derived keys. Kept, so that nothing changes while it cannot be asked. True: it is new. */
  async useDerivedKeys(): Promise<boolean> {
    if (this.#derives) return false;
    await this.#parts.documents.write({ "deriving-cloud": this.#parts.endpoint });
    this.#derives = true;
    return true;
  }

  /** Resolves when the device is registered. */
  known(): Promise<string> {
    return this.#known.promise;
  }

  /** Registers if need be; resolves when that has come about, or the signal has fired. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, clock, provisioning, pause } = this.#parts;
    if (this.#key !== undefined) return;
    if (!provisioning)
      return log.warn(
        "This device has no key for its cloud: put deviceApiKey, or apiKey and applicationId, into its config.json",
      );
    let said = "";
    for (let failures = 1; !signal.aborted; failures++) {
      const trouble = await this.#attempt(provisioning, signal);
      if (!trouble) return log.info("Registered with the cloud");
      if (trouble.why !== said && !signal.aborted) log.warn(`The device cannot be registered yet: ${trouble.why}`);
      said = trouble.why;
      const wait = waitMs(failures, trouble, patience, clock.random());
      await pause(wait, trouble, signal);
    }
  }

  async #attempt(provisioning: Provisioning, signal: AbortSignal): Promise<Setback | undefined> {
    const { ask, newcomer } = this.#parts;
    try {
      // Kept before it is sent: if the answer is lost, it is the cloud that has it.
      const key = await this.#proposedKey();
      const body = JSON.stringify(registrationBody(provisioning, newcomer(), key));
      const headers = { "content-type": "application/json" };
      const request = {
        method: "POST",
        path: "/device/register",
        key: provisioning.key,
        headers,
        body,
        timeoutMs,
      } as const;
      const judged = judgeRegistration(await ask(request, signal));
      switch (judged.is) {
        case "done":
          await this.#keep(judged.key, judged.id);
          return undefined;
        case "known":
          return await this.#claim(key, signal);
        case "keyTaken":
          await this.#forgetProposed();
          return { why: "the key that was made up for it is taken" };
        case "setback":
          return judged;
      }
    } catch (error) {
      return { why: messageOf(error) };
    }
  }

  /** Keeps the key if the cloud knows the device by it. */
  async #claim(key: string, signal: AbortSignal): Promise<Setback | undefined> {
    const { uuid } = this.#parts.newcomer();
    const path = `/device/v3/${uuid}/state`;
    const answer = await this.#parts.ask({ method: "GET", path, key, timeoutMs }, signal);
    if (answer.status === 200) return this.#keep(key, undefined).then(() => undefined);
    return answer.status === 401
      ? {
          why: "it has a device with this uuid under another key; remove that one there, or put its key into config.json as deviceApiKey",
        }
      : setback(answer);
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

  async #keep(key: string, id: number | undefined): Promise<void> {
    const { documents, endpoint, initialName: unsentName } = this.#parts;
    await documents.write({ "cloud-device": { endpoint, key, registered: true, id, unsentName } });
    await this.#learn(key);
  }

  async #learn(key: string): Promise<void> {
    this.#derivedKey = await deriveServiceKey(key);
    this.#key = key;
    this.#known.resolve(key);
  }
}
