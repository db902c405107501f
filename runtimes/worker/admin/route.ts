import { endpoints } from "../../../core/api/admin/index.ts";
import { type Endpoint, type Replies } from "../../../core/api/endpoint.ts";
import { refuse } from "../../../core/api/refusal.ts";
import { refusalResponse } from "../../../core/http/reply.ts";
import { createRoute, type Handler, type Surface } from "../../../core/http/route.ts";
import { coversFleet, type Grant } from "../auth/grant.ts";
import type { DirectoryContext } from "../directory/context.ts";
import { isValid } from "../directory/principal.ts";
import { errorOf, type AuditNote, type Route } from "../http.ts";

interface Administrator {
  readonly grant: Grant;
  readonly note: AuditNote;
}

const tokenRequired = (): Response =>
  refusalResponse(refuse("unauthorized", "Expected Authorization: Bearer, with a token of this cloud"));

/** Changes need the permission to write, or to manage. */
const surface: Surface<Administrator, DirectoryContext> = {
  refuse: ({ method, manages }, { grant }, { db }) => {
    if (!isValid(grant, db)) return tokenRequired();
    if (manages && !grant.manage)
      return refusalResponse(refuse("forbidden", "This token may not manage keys and tokens"));
    if (!manages && method !== "GET" && !grant.write)
      return refusalResponse(refuse("forbidden", "This token may only read"));
    return undefined;
  },
  covers: ({ grant }, fleetId) => coversFleet(grant, fleetId),
  error: errorOf,
};

/** An endpoint of the administration, which only people with a token may use, with its handler. */
export function adminRoute<P, B, R extends Replies>(
  endpoint: Endpoint<P, B, R>,
  handler: Handler<P, B, R, Administrator, DirectoryContext>,
): Route {
  const { method, path, answer } = createRoute(endpoint, handler, surface);
  return {
    method,
    path,
    anonymous: tokenRequired,
    operation: method === "GET" ? undefined : operationIds.get(endpoint),
    answer: (request, { params, principal: { principal, note } }, context) =>
      principal.is === "person"
        ? answer(request, { params, principal: { grant: principal.grant, note } }, context)
        : tokenRequired(),
  };
}

const operationIds = new Map<unknown, string>(Object.entries(endpoints).map(([name, endpoint]) => [endpoint, name]));

/** A fleet or device that the grant does not cover is answered like one that does not exist. */
export const noFleet = refuse("unknown-fleet", "There is no such fleet");
export const noDevice = refuse("unknown-device", "There is no such device");
export const noRelease = refuse("unknown-release", "There is no release with this commit in the fleet");
