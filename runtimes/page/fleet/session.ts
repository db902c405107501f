import { signal } from "@preact/signals";
import { createCloudClient } from "../../../core/client/index.ts";

/** The session of this tab: a token that ends within 12 hours. What somebody signs in with is not stored. */

const place = "fairlead.session";

export const session = signal<string | undefined>(undefined);

/** Why there is no session, if that has a reason. */
export const refusal = signal<string | undefined>(undefined);

/** Exchanges a token, or the admin secret. Throws what the cloud answers. */
export async function signIn(key: string): Promise<void> {
  const { admin } = createCloudClient({ baseUrl: location.origin, key });
  const { token } = await admin.createSession({ body: {} });
  refusal.value = undefined;
  keep(token);
}

export function signOut(why?: string): void {
  refusal.value = why;
  keep(undefined);
}

/**
 * Goes on with the session of this tab, else with the token that `fairlead cloud open` has put behind `#`. So a link of
 * somebody else does not change who is signed in.
 */
export async function startSession(): Promise<void> {
  const given = takeToken();
  const known = read();
  if (given === undefined || known !== undefined) session.value = known;
  else await signIn(given).catch((error: unknown) => signOut(error instanceof Error ? error.message : String(error)));
}

/** Browsers do not send what is behind `#`. It is removed from the address at once. */
function takeToken(): string | undefined {
  const [, token] = /^#token=([^&]+)$/.exec(location.hash) ?? [];
  if (token === undefined) return undefined;
  history.replaceState(null, "", "#/");
  return decodeURIComponent(token);
}

function keep(token: string | undefined): void {
  session.value = token;
  try {
    if (token === undefined) sessionStorage.removeItem(place);
    else sessionStorage.setItem(place, token);
  } catch {
    // A browser may forbid storage: the session lasts as long as the page.
  }
}

function read(): string | undefined {
  try {
    return sessionStorage.getItem(place) ?? undefined;
  } catch {
    return undefined;
  }
}
