/**
 * The key that a service with the label `io.balena.features.balena-api` gets from a device of a Fairlead cloud: derived from
 * the device key, with fewer permissions. The cloud derives the same key, so the device does not have to request it.
 */
export async function deriveServiceKey(deviceKey: string): Promise<string> {
  const key = await crypto.subtle.importKey("raw", utf8.encode(deviceKey), hmac, false, ["sign"]);
  const derived = new Uint8Array(await crypto.subtle.sign("HMAC", key, utf8.encode("fairlead service key 1")));
  return [...derived].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const hmac = { name: "HMAC", hash: "SHA-256" } as const;
const utf8 = new TextEncoder();
