import * as z from "zod";
import type { Env } from "../env.ts";
import {
  digestOf,
  digestsOf,
  longestCredential,
  sameDigest,
  tokenPrefix,
  type Credential,
  type KeyDigests,
} from "./credential.ts";
import { ownerGrant, type Grant } from "./grant.ts";

/** The claims of a token; times in seconds since the epoch. Older tokens lack the permissions that were added later. */
const Claims = z.object({
  id: z.string(),
  fleets: z.union([z.array(z.int()).readonly(), z.literal("all")]),
  write: z.boolean(),
  secrets: z.boolean().default(false),
  manage: z.boolean().default(false),
  shell: z.boolean().default(false),
  iat: z.int(),
  exp: z.int().optional(),
  /** Of a session: until when others that it makes may last. */
  until: z.int().optional(),
});
export type Claims = z.output<typeof Claims>;

type Secret = Pick<Env, "ADMIN_SECRET">;

/** 128 random bits in hex. Shorter secrets can be guessed offline from any token that they signed. */
const shortestSecret = 32;

/** What is wrong with this deployment's ADMIN_SECRET, if something is. */
export const secretFault = ({ ADMIN_SECRET }: Secret): string | undefined =>
  // Undefined when it was never set, whatever the type says.
  typeof ADMIN_SECRET === "string" && ADMIN_SECRET.length >= shortestSecret && ADMIN_SECRET.length <= longestCredential
    ? undefined
    : `ADMIN_SECRET is missing, or has not ${shortestSecret} to ${longestCredential} characters. Set it with: openssl rand -hex 32 | npx wrangler secret put ADMIN_SECRET`;

/**
 * The grant of a token or of the admin secret. A token is verified by its signature and expiry alone, without a Durable
 * Object; a revoked token is rejected by the object that it is used on.
 */
export async function verifyCredential(
  { key, from }: Credential,
  env: Secret,
  nowMs: number,
): Promise<Grant | undefined> {
  if (secretFault(env)) return undefined;
  if (key.startsWith(tokenPrefix)) {
    const claims = await verifyToken(key, env);
    if (!claims || (claims.exp !== undefined && claims.exp * 1000 <= nowMs)) return undefined;
    const { id: tokenId, iat: issuedAt, exp: _, until: sessionUntil, ...permissions } = claims;
    return { tokenId, ...permissions, issuedAt, ...(sessionUntil !== undefined && { sessionUntil }) };
  }
  if (from === "query") return undefined;
  return sameDigest(await digestOf(key), await digestOf(env.ADMIN_SECRET)) ? ownerGrant : undefined;
}

/** `digestsOf`, computed once for each key: devices send requests often. */
export async function cachedDigestsOf(key: string, env: Secret): Promise<KeyDigests> {
  const { digests } = cacheOf(env);
  return digests.get(key) ?? keep(digests, key, await digestsOf(key));
}

/** `fl_<claims>.<HMAC-SHA-256>`, both in base64url. */
export async function signToken(claims: Claims, env: Secret): Promise<string> {
  const payload = utf8.encode(JSON.stringify(claims));
  const signature = await crypto.subtle.sign("HMAC", await cacheOf(env).signingKey, payload);
  return `${tokenPrefix}${base64url(payload)}.${base64url(new Uint8Array(signature))}`;
}

async function verifyToken(token: string, env: Secret): Promise<Claims | undefined> {
  const { signingKey, claims } = cacheOf(env);
  const known = claims.get(token);
  if (known) return known;
  const [, encoded, seal] = /^fl_([\w-]{1,4096})\.([\w-]{43})$/.exec(token) ?? [];
  const payload = encoded && fromBase64url(encoded);
  const signature = seal && fromBase64url(seal);
  if (!payload || !signature) return undefined;
  if (!(await crypto.subtle.verify("HMAC", await signingKey, signature, payload))) return undefined;
  return keep(claims, token, Claims.parse(JSON.parse(new TextDecoder().decode(payload))));
}

/** What each isolate computes once. */
interface Cache {
  /** Derived from the secret, which itself signs nothing. */
  readonly signingKey: Promise<CryptoKey>;
  /** Tokens with a valid signature. Expiry is checked on each request, revocation by the object that is asked. */
  readonly claims: Map<string, Claims>;
  readonly digests: Map<string, KeyDigests>;
}

const caches = new WeakMap<Secret, Cache>();
const mostCached = 1000;

function keep<T>(cache: Map<string, T>, key: string, value: T): T {
  if (cache.size >= mostCached) cache.clear();
  cache.set(key, value);
  return value;
}

function cacheOf(env: Secret): Cache {
  const known = caches.get(env);
  if (known) return known;
  const made: Cache = { signingKey: deriveKey(env.ADMIN_SECRET), claims: new Map(), digests: new Map() };
  caches.set(env, made);
  return made;
}

/** The 256 bits with which a webhook's messages are signed. They are not stored. */
export async function webhookSecret(
  id: string,
  salt: string,
  { ADMIN_SECRET }: Secret,
): Promise<Uint8Array<ArrayBuffer>> {
  const material = await crypto.subtle.importKey("raw", utf8.encode(ADMIN_SECRET), "HKDF", false, ["deriveBits"]);
  const info = utf8.encode(`fairlead webhook 1 ${id} ${salt}`);
  const how = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info };
  return new Uint8Array(await crypto.subtle.deriveBits(how, material, 256));
}

async function deriveKey(secret: string): Promise<CryptoKey> {
  const material = await crypto.subtle.importKey("raw", utf8.encode(secret), "HKDF", false, ["deriveKey"]);
  return crypto.subtle.deriveKey(
    { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: utf8.encode("fairlead tokens 1") },
    material,
    { name: "HMAC", hash: "SHA-256", length: 256 },
    false,
    ["sign", "verify"],
  );
}

const utf8 = new TextEncoder();

const base64url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

function fromBase64url(text: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
  } catch {
    return undefined;
  }
}
