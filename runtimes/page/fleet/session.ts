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

/** Goes on with the session of this tab. */
export function startSession(): void {
  session.value = read();
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
