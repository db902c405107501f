import { endpoints } from "../../../core/api/admin/index.ts";
import type { Endpoint } from "../../../core/api/endpoint.ts";
import { refuse } from "../../../core/api/refusal.ts";
import { Once } from "../../../core/http/once.ts";
import { refusalResponse } from "../../../core/http/reply.ts";
import {
  createRoute,
  type BodiesOf,
  type Handlers,
  type ParamsOf,
  type RepliesOf,
  type Surface,
} from "../../../core/http/route.ts";
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

/** One for each directory. */
const onces = new WeakMap<DirectoryContext, Once>();

function onceOf(context: DirectoryContext): Once {
  const { requests, now } = context;
  const once = onces.get(context) ?? new Once({ requests, now, error: errorOf });
  onces.set(context, once);
  return once;
}

/** Changes need the permission to write, or to manage. */
const surface: Surface<Administrator, DirectoryContext> = {
  refuse: ({ method, manages, writes = method !== "GET" }, { grant }, { db }) => {
    if (!isValid(grant, db)) return tokenRequired();
    if (manages && !grant.manage)
      return refusalResponse(refuse("forbidden", "This token may not manage keys and tokens"));
    if (!manages && writes && !grant.write) return refusalResponse(refuse("forbidden", "This token may only read"));
    return undefined;
  },
  perform: (endpoint, { request, principal: { grant }, body }, act, context) =>
    onceOf(context).answer({ request, caller: grant.tokenId, body, isSecret: endpoint.secretAnswer === true }, () =>
      act(),
    ),
  covers: ({ grant }, fleetId) => coversFleet(grant, fleetId),
  error: errorOf,
};

type Api = typeof endpoints;
type Named = {
  readonly [N in keyof Api]: Endpoint<ParamsOf<Api>[N], BodiesOf<Api>[N], RepliesOf<Api>[N]>;
};

/**
 * An endpoint of the administration, which only people with a token may use, with its handler. By its name: what is not in
 * the list would not be in the OpenAPI document either, and does not compile.
 */
export function adminRoute<N extends keyof Api>(
  name: N,
  handler: Handlers<Api, Administrator, DirectoryContext>[N],
): Route {
  const named: Named = endpoints;
  const { method, path, answer } = createRoute(named[name], handler, surface);
  return {
    method,
    path,
    anonymous: tokenRequired,
    operation: method === "GET" ? undefined : name,
    answer: (request, { params, principal: { principal, note } }, context) =>
      principal.is === "person"
        ? answer(request, { params, principal: { grant: principal.grant, note } }, context)
        : tokenRequired(),
  };
}

/** A fleet or device that the grant does not cover is answered like one that does not exist. */
export const noFleet = refuse("unknown-fleet", "There is no such fleet");
export const noDevice = refuse("unknown-device", "There is no such device");
export const noRelease = refuse("unknown-release", "There is no release with this commit in the fleet");
