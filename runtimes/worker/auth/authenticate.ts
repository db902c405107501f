import {
  credentialOf,
  digestOf,
  verifyCredential,
  looksLikeDeviceKey,
  rememberedDigestsOf,
  type Grant,
  type Credential,
} from "./access.ts";
import type { Authentication } from "../directory/context.ts";
import { directoryOf, type Env } from "../env.ts";
import { Failures, networkOf, type Attempt } from "./failures.ts";

/**
 * Who sends a request, as far as that can be told without waking a Durable Object; or the answer that refuses it: after 60
 * wrong keys of one network within a minute, no other one of it is looked up. A token, the admin secret and a key that was
 * good within the last hour need no look-up, and pass all the same.
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
  const toAuthentication = async (): Promise<Authentication> => ({
    is: "key",
    ...(await rememberedDigestsOf(key, env)),
  });
  if (isKnown(digest, env, nowMs)) return toAuthentication();
  const attempt = attemptOf(request, digest);
  const waitMs = memoryOf(env).failures.waitMs(attempt, nowMs);
  if (waitMs > 0) return tooMany(waitMs);
  if (looksLikeDeviceKey(key)) return toAuthentication();
  await fail(attempt, env, nowMs);
  return { is: "nobody" };
}

/** As `authenticate`, with the keys of devices looked up. */
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
 * Whether a key is that of the device with this uuid. Asked before the device's own objects are, which look at it again: a
 * stranger would make an object of each uuid that he thinks of.
 */
export async function isKeyOf(
  uuid: string,
  digest: string,
  request: Request,
  env: Env,
  nowMs: number,
): Promise<boolean> {
  const known = memoryOf(env).keys.get(digest);
  if (known && known.uuid !== undefined && known.untilMs > nowMs) return known.uuid === uuid;
  return (await lookUp(digest, request, env, nowMs))?.device === uuid;
}

async function lookUp(digest: string, request: Request, env: Env, nowMs: number): Promise<Grant | undefined> {
  const grant = await directoryOf(env).grantOfDevice(digest);
  if (grant) remember(digest, grant.device, env, nowMs);
  else await failed(request, digest, env, nowMs);
  return grant;
}

/** Nobody has this key, or not any longer. */
export function failed(request: Request, digest: string, env: Env, nowMs: number): Promise<void> {
  memoryOf(env).keys.delete(digest);
  return fail(attemptOf(request, digest), env, nowMs);
}

/** The directory knows this key; `uuid`: of the device whose own it is. */
export function remember(digest: string, uuid: string | undefined, env: Env, nowMs: number): void {
  const { keys } = memoryOf(env);
  if (keys.size >= mostKeys) keys.clear();
  keys.set(digest, { uuid: uuid ?? keys.get(digest)?.uuid, untilMs: nowMs + knownMs });
}

async function fail(attempt: Attempt, env: Env, nowMs: number): Promise<void> {
  const { failures } = memoryOf(env);
  const { network } = attempt;
  if (!failures.add(attempt, nowMs) || network === undefined || !env.FAILURES) return;
  // Without the platform's count, there is still our own.
  const counted = await env.FAILURES.limit({ key: network }).catch(() => undefined);
  if (counted?.success === false) failures.block(network, nowMs);
}

function attemptOf({ headers }: Request, credential: string): Attempt {
  const address = headers.get("cf-connecting-ip");
  return { credential, network: address === null ? undefined : networkOf(address) };
}

function tooMany(waitMs: number): Response {
  const seconds = Math.ceil(waitMs / 1000);
  const error = `Too many wrong keys came from this address: try again in ${seconds} s`;
  return Response.json({ error }, { status: 429, headers: { "retry-after": String(seconds) } });
}

/** Of one isolate. */
interface Memory {
  readonly failures: Failures;
  /** By digest: keys that the directory knew. Only who may ask is decided by it, never what the answer is. */
  readonly keys: Map<string, { readonly uuid: string | undefined; readonly untilMs: number }>;
}

const memories = new WeakMap<Env, Memory>();
const mostKeys = 20_000;
const knownMs = 60 * 60 * 1000;

function memoryOf(env: Env): Memory {
  const known = memories.get(env);
  if (known) return known;
  const made = { failures: new Failures(), keys: new Map() };
  memories.set(env, made);
  return made;
}

function isKnown(digest: string, env: Env, nowMs: number): boolean {
  const known = memoryOf(env).keys.get(digest);
  return known !== undefined && known.untilMs > nowMs;
}
