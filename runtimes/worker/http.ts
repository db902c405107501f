import { refusalAt } from "../../core/http/reply.ts";
import type { Route as HttpRoute, Surface } from "../../core/http/route.ts";
import type { AuditTarget } from "./directory/audit-entry.ts";
import type { DirectoryContext } from "./directory/context.ts";
import type { Principal } from "./directory/principal.ts";

export { usualLimitBytes as limitBytes } from "../../core/http/body.ts";

/** Adds to the request's entry in the audit log what its path does not say. */
export type AuditNote = (target: AuditTarget) => void;

/** Who sent a request to the directory. */
export interface Sender {
  readonly principal: Principal;
  readonly note: AuditNote;
}

/** A route of the directory. */
export interface Route extends HttpRoute<Sender, DirectoryContext> {
  /** The Worker's own answer to a request without a credential. */
  readonly anonymous: () => Response;
  /** Name in the audit log; absent for a route that changes nothing. */
  readonly operation?: string | undefined;
}

/** An error that no endpoint declares, in the form of the surface that the path belongs to. */
export const errorOf: Surface<unknown, unknown>["error"] = (status, message, request, faults) =>
  refusalAt(request, status, message, faults) ?? objectError(status, message);

/** The same error in that form, if it is an `objectError`. */
export async function inFormOf(request: Request, error: Response): Promise<Response> {
  const { error: message }: { error: string } = await error.json();
  const answer = errorOf(error.status, message, request);
  const retryAfter = error.headers.get("retry-after");
  if (retryAfter !== null) answer.headers.set("retry-after", retryAfter);
  return answer;
}

/** The three forms of an error of the other surfaces; each has one of them. The device API's endpoints declare theirs as `replies`. */
export const objectError = (status: number, error: string): Response => Response.json({ error }, { status });
export const sentenceError = (status: number, message: string): Response => Response.json(message, { status });
export const emptyError = (status: number): Response => new Response(null, { status });

/** Recorded: requests that only devices send require a key, with this text. */
export const keyRequired = (): Response => objectError(401, "API key required");

/** Set by the directory when nobody has the credential; the Worker counts it, and removes the header. */
export const unknownHeader = "x-fairlead-unknown";

/** Carries the client's address from the Worker to the directory. */
export const addressHeader = "x-fairlead-address";
