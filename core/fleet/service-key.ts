/**
 * What a service with the label `io.balena.features.balena-api` gets in the place of the device's own key, where the cloud
 * is a Fairlead one: a key that is derived from it and can do less. The cloud derives the same one, so that the device need
 * not ask for it.
 */
export async function deriveServiceKey(deviceKey: string): Promise<string> {
  const key = await crypto.subtle.importKey("raw", utf8.encode(deviceKey), hmac, false, ["sign"]);
  const derived = new Uint8Array(await crypto.subtle.sign("HMAC", key, utf8.encode("fairlead service key 1")));
  return [...derived].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The header of the target state's answer by which a cloud says that it knows derived keys; any value means yes. */
export const derivesServiceKeys = "fairlead-service-keys";

const hmac = { name: "HMAC", hash: "SHA-256" } as const;
const utf8 = new TextEncoder();
