import * as z from "zod";
import { endpoints } from "../../../core/api/cloud/index.ts";
import type { Endpoint, Replies } from "../../../core/api/endpoint.ts";
import { readBody } from "../../../core/http/body.ts";
import type { Principal } from "../directory/principal.ts";
import { emptyError, keyRequired, limitBytes, objectError, type Route } from "../http.ts";

/**
 * The endpoint's route. By its name, as for the administration: what is not in the list is not in the OpenAPI document. Its
 * declaration says whether the answer to a missing key has a body.
 */
export function deviceRoute(name: keyof typeof endpoints, rest: Pick<Route, "operation" | "answer">): Route {
  const {
    method,
    path,
    replies,
  }: Pick<Endpoint<unknown, unknown, Replies>, "method" | "path" | "replies"> = endpoints[name];
  return { method, path, anonymous: replies[401]?.type === "empty" ? () => emptyError(401) : keyRequired, ...rest };
}

const AnyObject = z.record(z.string(), z.unknown());

/** What a device sends about itself, under its uuid; or the response that rejects it. */
export async function ownPart(
  request: Request,
  principal: Principal,
): Promise<{ readonly part: unknown; readonly id: number; readonly uuid: string } | Response> {
  if (principal.is === "person" || principal.is === "nobody") return keyRequired();
  if (principal.is === "provisioning") return emptyError(401);
  const { id, uuid } = principal;
  const sent = await readBody(request, { limitBytes });
  if (!sent.ok) return objectError(sent.status, sent.message);
  const body = sent.contentType === "application/json" ? AnyObject.safeParse(sent.value).data : undefined;
  const part = body?.[uuid];
  const isOwn = Object.keys(body ?? {}).every((one) => one === uuid);
  return isOwn && typeof part === "object" && part !== null ? { part, id, uuid } : emptyError(401);
}
