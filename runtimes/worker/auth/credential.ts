import { deriveServiceKey } from "../../../core/model/service-key.ts";

/** A key, token or secret as it was sent. */
export interface Credential {
  readonly key: string;
  /** URLs are written to logs and browser histories, headers are not. */
  readonly from: "header" | "query";
}

/** `Authorization: Bearer`, else `?apikey=` in exactly this spelling, as the public cloud reads it. */
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
export const longestCredential = 4500;
const isWellFormed = (key: string): boolean => key !== "" && key.length <= longestCredential;

export const tokenPrefix = "fl_";

/** Generated keys are 64 hex digits; older ones, which devices brought along, are at least 32 letters and digits. */
export const looksLikeDeviceKey = (key: string): boolean => /^[\w-]{32,128}$/.test(key) && !key.startsWith(tokenPrefix);

/** Whether a key that a device brings along has room for 256 bits: 64 hex digits, or 43 characters of base64url. */
export const isLongEnough = (key: string): boolean =>
  looksLikeDeviceKey(key) && key.length >= (/^[0-9a-f]*$/i.test(key) ? 64 : 43);

/** A new key for a device, or for provisioning: 256 bits as hex. */
export const newKey = (): string => hex(crypto.getRandomValues(new Uint8Array(32)));

/** SHA-256 as hex: the only form in which keys are stored. */
export const digestOf = async (key: string): Promise<string> =>
  hex(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8.encode(key))));

/** SHA-256 of a key, and of the service key that is derived from it if it is a device's. */
export interface KeyDigests {
  readonly digest: string;
  readonly serviceKeyDigest: string;
}

export async function digestsOf(key: string): Promise<KeyDigests> {
  return { digest: await digestOf(key), serviceKeyDigest: await digestOf(await deriveServiceKey(key)) };
}

/** Compares digests in constant time. */
export const sameDigest = (a: string, b: string): boolean =>
  a.length === b.length && crypto.subtle.timingSafeEqual(utf8.encode(a), utf8.encode(b));

const utf8 = new TextEncoder();

const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
