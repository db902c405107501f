import { directoryOf, type Env } from "../env.ts";
import { credentialOf, digestOf, looksLikeDeviceKey, type Credential } from "./credential.ts";
import { Failures, networkOf, type Attempt } from "./failures.ts";
import type { Authentication, Grant } from "./grant.ts";
import { cachedDigestsOf, verifyCredential } from "./token.ts";

/**
 * Authenticates a request without waking a Durable Object, or returns the response that rejects it: after 60 wrong keys of
 * one network within a minute, no unknown key of that network is looked up. A token, the admin secret and a key that was
 * valid within the last hour need no look-up and are accepted all the same.
 */
export async function authenticate(
  request: Request,
  env: Env,
  nowMs: number,
  credential: Credential | undefined = credentialOf(request),
): Promise<Authentication | Response> {
  if (!credential) return { is: "nobody" };
  const grant = await verifyCredential(credential, env, nowMs);
  if (grant) return { is: "person", grant };
  const { key } = credential;
  const digest = await digestOf(key);
  const toAuthentication = async (): Promise<Authentication> => ({ is: "key", ...(await cachedDigestsOf(key, env)) });
  if (knownKey(digest, env, nowMs)) return toAuthentication();
  const attempt = attemptOf(request, digest);
  const waitMs = cacheOf(env).failures.waitMs(attempt, nowMs);
  if (waitMs > 0) return tooManyFailures(waitMs);
  if (looksLikeDeviceKey(key)) return toAuthentication();
  await countFailure(attempt, env, nowMs);
  return { is: "nobody" };
}

/** As `authenticate`, and looks up the keys of devices. */
export async function findGrant(request: Request, env: Env, nowMs: number): Promise<Grant | Response | undefined> {
  const authentication = await authenticate(request, env, nowMs);
  if (authentication instanceof Response) return authentication;
  switch (authentication.is) {
    case "nobody":
      return undefined;
    case "person":
      return authentication.grant;
    case "key":
      return lookUp(authentication.digest, request, env, nowMs);
  }
}

/**
 * Whether a key is that of the device with this uuid. Checked before the device's objects are called, which check it again:
 * an attacker could otherwise create an object for each uuid that he makes up.
 */
export async function isKeyOf(
  uuid: string,
  digest: string,
  request: Request,
  env: Env,
  nowMs: number,
): Promise<boolean> {
  const known = knownKey(digest, env, nowMs);
  if (known?.uuid !== undefined) return known.uuid === uuid;
  return (await lookUp(digest, request, env, nowMs))?.device === uuid;
}

async function lookUp(digest: string, request: Request, env: Env, nowMs: number): Promise<Grant | undefined> {
  const grant = await directoryOf(env).grantOfDevice(digest);
  if (grant) cacheKey(digest, grant.device, env, nowMs);
  else await rejectKey(digest, request, env, nowMs);
  return grant;
}

/** The key does not exist, or no longer. */
export function rejectKey(digest: string, request: Request, env: Env, nowMs: number): Promise<void> {
  cacheOf(env).keys.delete(digest);
  return countFailure(attemptOf(request, digest), env, nowMs);
}

/** The directory knows this key; `uuid`: of the device whose own key it is. */
export function cacheKey(digest: string, uuid: string | undefined, env: Env, nowMs: number): void {
  const { keys } = cacheOf(env);
  if (keys.size >= mostKeys) keys.clear();
  keys.set(digest, { uuid: uuid ?? keys.get(digest)?.uuid, untilMs: nowMs + cachedMs });
}

async function countFailure(attempt: Attempt, env: Env, nowMs: number): Promise<void> {
  const { failures } = cacheOf(env);
  const { network } = attempt;
  if (!failures.add(attempt, nowMs) || network === undefined || !env.FAILURES) return;
  // Without the platform's count, the isolate's own still holds.
  const counted = await env.FAILURES.limit({ key: network }).catch(() => undefined);
  if (counted?.success === false) failures.block(network, nowMs);
}

function attemptOf({ headers }: Request, credential: string): Attempt {
  const address = headers.get("cf-connecting-ip");
  return { credential, network: address === null ? undefined : networkOf(address) };
}

function tooManyFailures(waitMs: number): Response {
  const seconds = Math.ceil(waitMs / 1000);
  const error = `Too many wrong keys came from this address: try again in ${seconds} s`;
  return Response.json({ error }, { status: 429, headers: { "retry-after": String(seconds) } });
}

interface CachedKey {
  readonly uuid: string | undefined;
  readonly untilMs: number;
}

/** Of one isolate. */
interface Cache {
  readonly failures: Failures;
  /** By digest: keys that the directory knew. They only decide who may ask, never what the answer is. */
  readonly keys: Map<string, CachedKey>;
}

const caches = new WeakMap<Env, Cache>();
const mostKeys = 20_000;
const cachedMs = 60 * 60 * 1000;

function cacheOf(env: Env): Cache {
  const known = caches.get(env);
  if (known) return known;
  const made = { failures: new Failures(), keys: new Map() };
  caches.set(env, made);
  return made;
}

function knownKey(digest: string, env: Env, nowMs: number): CachedKey | undefined {
  const known = cacheOf(env).keys.get(digest);
  return known && known.untilMs > nowMs ? known : undefined;
}
