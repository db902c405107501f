import { everything, type Principal, type Scope } from "../model/scope.ts";
import type { Clock } from "../ports/clock.ts";
import type { Documents, Key } from "./documents.ts";
import { oneByOne } from "./one-by-one.ts";

/** 256 bits. */
const keyBytes = 32;

/**
 * The keys for the API. Each service that requests one has its own key, with the scope of its application. The global key
 * is sent only to the cloud.
 */
export class Keys {
  #keys: readonly Key[] = [];
  readonly #documents: Documents;
  readonly #clock: Clock;
  readonly #inOrder = oneByOne();

  constructor(documents: Documents, clock: Clock) {
    this.#documents = documents;
    this.#clock = clock;
  }

  async load(): Promise<void> {
    this.#keys = (await this.#documents.read("keys")) ?? [];
    if (!this.#keys.some(isGlobal)) await this.#change((keys) => [...keys, { key: this.#clock.token(keyBytes) }]);
  }

  /** The key with the global scope. */
  global(): string {
    return this.#keys.find(isGlobal)?.key ?? "";
  }

  of(appId: number, service: string): string | undefined {
    return this.#keys.find((one) => one.appId === appId && one.service === service)?.key;
  }

  /** Creates a key for each of these services that has none. `existing`: the key that its container already has. */
  async ensure(
    services: readonly { readonly appId: number; readonly service: string; readonly existing?: string | undefined }[],
  ): Promise<void> {
    const missing = () => services.filter(({ appId, service }) => this.of(appId, service) === undefined);
    if (missing().length === 0) return;
    await this.#change((keys) => [
      ...keys,
      ...missing().map(({ appId, service, existing }) => ({
        key: existing ?? this.#clock.token(keyBytes),
        appId,
        service,
      })),
    ]);
  }

  /**
   * The scope of a key; undefined for an unknown key. Takes the same time for each wrong key of one length. `reach`: the
   * scope of applications' keys, which show only the secrets of their own application.
   */
  scopeOf(key: string, reach: "device" | "application" = "device"): Scope | undefined {
    const found = this.#find(key);
    return found && (found.appId === undefined ? everything : ofApplication(found.appId, reach));
  }

  /** Whose key it is: the global one has no `service`. Undefined for an unknown key. */
  ownerOf(key: string): { readonly service?: string | undefined } | undefined {
    return this.#find(key);
  }

  /** Who makes a request, so that others do not learn what came of it. */
  callerOf({ key, isRelayed }: Pick<Principal, "key" | "isRelayed">): string {
    if (isRelayed) return "cloud";
    const owner = key === undefined ? undefined : this.#find(key);
    return owner ? (owner.appId === undefined ? "device" : `${owner.appId}/${owner.service}`) : "anyone";
  }

  /** Replaces a key and returns the new one; undefined for an unknown key. The old key becomes invalid. */
  async regenerate(old: string): Promise<string | undefined> {
    if (!this.scopeOf(old)) return undefined;
    const key = this.#clock.token(keyBytes);
    await this.#change((keys) => keys.map((one) => (one.key === old ? { ...one, key } : one)));
    return this.scopeOf(key) && key;
  }

  #find(key: string): Key | undefined {
    let found: Key | undefined;
    for (const one of this.#keys) if (equalInConstantTime(one.key, key)) found = one;
    return found;
  }

  #change(make: (keys: readonly Key[]) => readonly Key[]): Promise<void> {
    return this.#inOrder(async () => {
      const keys = make(this.#keys);
      await this.#documents.write({ keys });
      this.#keys = keys;
    });
  }
}

const ofApplication = (appId: number, reach: "device" | "application"): Scope => ({
  apps: [appId],
  device: reach === "device",
  secrets: "own",
  shell: false,
});

const isGlobal = ({ appId }: Key): boolean => appId === undefined;

function equalInConstantTime(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let n = 0; n < a.length; n++) difference |= a.charCodeAt(n) ^ b.charCodeAt(n);
  return difference === 0;
}
