import * as z from "zod";
import { deriveServiceKey } from "../../../core/model/service-key.ts";
import type { Env } from "../env.ts";

/** What a verified caller may do. Made from a signed token, the admin secret, or a device's own key; passed on as a value. */
export const Grant = z
  .object({
    /** Token id; "admin" for the owner's secret, "device:<id>" for a device's own key. Revocation is by this id. */
    tokenId: z.string(),
    /** Fleet (application) ids, or all. */
    fleets: z.union([z.array(z.int()).readonly(), z.literal("all")]),
    write: z.boolean(),
    /** To be told the values of variables, and passwords. */
    secrets: z.boolean().default(false),
    /** To make and end keys and tokens. */
    manage: z.boolean().default(false),
    /** Seconds since the epoch when the token was issued. */
    issuedAt: z.number(),
    /** Nothing but the device with this uuid: the caller is that device itself. */
    device: z.string().optional(),
  })
  .readonly();
export type Grant = z.output<typeof Grant>;

export const coversFleet = ({ fleets }: Grant, fleetId: number): boolean =>
  fleets === "all" || fleets.includes(fleetId);

/** The holder of the admin secret. */
export const ownerGrant: Grant = {
  tokenId: "admin",
  fleets: "all",
  write: true,
  secrets: true,
  manage: true,
  issuedAt: 0,
};

/** What a token says about itself; times in seconds since the epoch. Older tokens do not name the later permissions. */
const Claims = z.object({
  id: z.string(),
  fleets: z.union([z.array(z.int()).readonly(), z.literal("all")]),
  write: z.boolean(),
  secrets: z.boolean().default(false),
  manage: z.boolean().default(false),
  iat: z.int(),
  exp: z.int().optional(),
});
export type Claims = z.output<typeof Claims>;

/** As many characters as 128 random bits have in hex; shorter ones can be guessed from any token that they signed. */
const shortestSecret = 32;

/** The sentence that says what is wrong with this deployment's secret, if something is. */
export const secretFault = ({ ADMIN_SECRET }: Env): string | undefined =>
  // Missing altogether when it was never set, whatever the type says.
  typeof ADMIN_SECRET === "string" && ADMIN_SECRET.length >= shortestSecret && ADMIN_SECRET.length <= longestCredential
    ? undefined
    : `ADMIN_SECRET is missing, or has not ${shortestSecret} to ${longestCredential} characters. Set it with: openssl rand -hex 32 | npx wrangler secret put ADMIN_SECRET`;

/** A key, token or secret as it was sent. */
export interface Credential {
  readonly key: string;
  /** Addresses are written to logs and histories, headers are not. */
  readonly from: "header" | "query";
}

/**
 * Who has this token, or the admin secret. A token is verified by signature and expiry alone, no Durable Object is touched (a
 * revoked one is refused where it is used).
 */
export async function verifyCredential({ key, from }: Credential, env: Env, nowMs: number): Promise<Grant | undefined> {
  if (secretFault(env)) return undefined;
  if (key.startsWith(tokenPrefix)) {
    const claims = await verifyToken(key, env);
    if (!claims || (claims.exp !== undefined && claims.exp * 1000 <= nowMs)) return undefined;
    const { id: tokenId, fleets, write, secrets, manage, iat: issuedAt } = claims;
    return { tokenId, fleets, write, secrets, manage, issuedAt };
  }
  if (from === "query") return undefined;
  return equalInConstantTime(await digestOf(key), await digestOf(env.ADMIN_SECRET)) ? ownerGrant : undefined;
}

/** `Authorization: Bearer`, else `?apikey=` in exactly this spelling: as the public cloud reads it. */
export function credentialOf(request: Request): Credential | undefined {
  const inHeader = keyInHeader(request);
  if (inHeader !== undefined) return { key: inHeader, from: "header" };
  const key = new URL(request.url).searchParams.get("apikey") ?? "";
  return isWellFormed(key) ? { key, from: "query" } : undefined;
}

const scheme = "bearer ";

export function keyInHeader({ headers }: Request): string | undefined {
  const header = headers.get("authorization") ?? "";
  if (header.slice(0, scheme.length).toLowerCase() !== scheme) return undefined;
  const key = header.slice(scheme.length).trim();
  return isWellFormed(key) ? key : undefined;
}

/** The longest credential is a token, of at most 4,143 characters. */
const longestCredential = 4500;
const isWellFormed = (key: string): boolean => key !== "" && key.length <= longestCredential;

/** Those that we make are 64 digits; older ones, which devices brought along, are of at least 32 letters and digits. */
export const looksLikeDeviceKey = (key: string): boolean => /^[\w-]{32,128}$/.test(key) && !key.startsWith(tokenPrefix);

/** Whether a key that a device brings along has room for 256 bits: 64 hex digits, or 43 characters of base64url. */
export const isLongEnough = (key: string): boolean =>
  looksLikeDeviceKey(key) && key.length >= (/^[0-9a-f]*$/i.test(key) ? 64 : 43);

/** A new key for a device, or for provisioning: 256 bits as hex. */
export const newKey = (): string => hex(crypto.getRandomValues(new Uint8Array(32)));

/** SHA-256 as hex: the only form in which keys are kept. */
export const digestOf = async (key: string): Promise<string> =>
  hex(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8.encode(key))));

/** SHA-256 of a key, and, in case that it is a device's, of the key that its services have. */
export interface KeyDigests {
  readonly digest: string;
  readonly serviceKeyDigest: string;
}

export async function digestsOf(key: string): Promise<KeyDigests> {
  return { digest: await digestOf(key), serviceKeyDigest: await digestOf(await deriveServiceKey(key)) };
}

/** As `digestsOf`, worked out once for each key: devices ask often. */
export async function rememberedDigestsOf(key: string, env: Env): Promise<KeyDigests> {
  const { digests: known } = memoryOf(env);
  const before = known.get(key);
  if (before) return before;
  const made = await digestsOf(key);
  remember(known, key, made);
  return made;
}

const tokenPrefix = "fl_";

/** `fl_<claims>.<HMAC-SHA-256>`, both in base64url. */
export async function signToken(claims: Claims, env: Env): Promise<string> {
  const payload = utf8.encode(JSON.stringify(claims));
  const signature = await crypto.subtle.sign("HMAC", await memoryOf(env).signingKey, payload);
  return `${tokenPrefix}${base64url(payload)}.${base64url(new Uint8Array(signature))}`;
}

async function verifyToken(token: string, env: Env): Promise<Claims | undefined> {
  const { signingKey, claims: known } = memoryOf(env);
  const before = known.get(token);
  if (before) return before;
  const [, claims, seal] = /^fl_([\w-]{1,4096})\.([\w-]{43})$/.exec(token) ?? [];
  const payload = claims && fromBase64url(claims);
  const signature = seal && fromBase64url(seal);
  if (!payload || !signature) return undefined;
  if (!(await crypto.subtle.verify("HMAC", await signingKey, signature, payload))) return undefined;
  const parsed = Claims.parse(JSON.parse(new TextDecoder().decode(payload)));
  remember(known, token, parsed);
  return parsed;
}

/** What is worked out once for each isolate. */
interface Remembered {
  /** The secret itself signs nothing. */
  readonly signingKey: Promise<CryptoKey>;
  /** Tokens whose signature is right. Their expiry is looked at each time, their revocation where they are used. */
  readonly claims: Map<string, Claims>;
  readonly digests: Map<string, KeyDigests>;
}

const remembered = new WeakMap<Env, Remembered>();
const mostRemembered = 1000;

function remember<T>(known: Map<string, T>, key: string, value: T): void {
  if (known.size >= mostRemembered) known.clear();
  known.set(key, value);
}

function memoryOf(env: Env): Remembered {
  const known = remembered.get(env);
  if (known) return known;
  const made: Remembered = { signingKey: deriveKey(env.ADMIN_SECRET), claims: new Map(), digests: new Map() };
  remembered.set(env, made);
  return made;
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

const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

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

/** Of digests, which are of one length. */
function equalInConstantTime(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let n = 0; n < a.length; n++) difference |= a.charCodeAt(n) ^ b.charCodeAt(n);
  return difference === 0;
}
