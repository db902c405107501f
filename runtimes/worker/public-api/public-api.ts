import * as z from "zod";
import { readBody } from "../../../core/http/body.ts";
import type { DirectoryContext } from "../directory/context.ts";
import { isValid } from "../directory/principal.ts";
import { emptyError, limitBytes, sentenceError, type AuditNote, type Route } from "../http.ts";
import { mayWrite, QueryRefusal, type RowPrincipal } from "./conditions.ts";
import { parseAddress, type Address } from "./odata.ts";
import { count, describeRows, idsOf, read, type QueryContext } from "./query.ts";
import { isResource } from "./resources.ts";
import { changes, create, remove } from "./writes.ts";

/** The endpoints that balena's SDK and CLI use, beside the proxy. Errors are sentences as JSON strings; 401 has no body. */

const unauthorized = (): Response => emptyError(401);

const whoami: Route = {
  method: "GET",
  path: "/actor/v1/whoami",
  anonymous: unauthorized,
  answer: (_request, { principal: { principal } }) => {
    switch (principal.is) {
      case "person": {
        const username = principal.grant.tokenId;
        return Response.json({ id: 1, actorType: "user", actorTypeId: 1, username, email: null });
      }
      case "device": {
        const { id, uuid } = principal;
        return Response.json({ id, actorType: "device", actorTypeId: id, uuid });
      }
      case "provisioning":
        return Response.json({ id: principal.fleetId, actorType: "application", actorTypeId: principal.fleetId });
      case "nobody":
        return unauthorized();
    }
  },
};

/** Tokens of this cloud are not renewed: they keep their expiry. */
const notRenewed = (): Response => sentenceError(400, "A token of this cloud is not renewed: ask for another one");
const refreshToken: Route = {
  method: "GET",
  path: "/user/v1/refresh-token",
  anonymous: notRenewed,
  answer: notRenewed,
};

interface ResourceRequest extends Address {
  readonly request: Request;
  readonly principal: RowPrincipal;
  readonly note: AuditNote;
}

type ResourceHandler = (request: ResourceRequest, context: DirectoryContext) => Promise<Response> | Response;

/** `/v7/…` */
const resource = (method: Route["method"], operation: string | undefined, handler: ResourceHandler): Route => ({
  method,
  path: "/v7/*",
  anonymous: unauthorized,
  operation,
  answer: async (request, { principal: { principal, note } }, context) => {
    if (principal.is !== "person" && principal.is !== "device") return unauthorized();
    if (method !== "GET" && !mayWrite(principal)) return sentenceError(403, "This token may only read");
    const { pathname, searchParams } = new URL(request.url);
    const parsed = parseAddress(pathname.slice("/v7".length), searchParams);
    if (!parsed.ok) return sentenceError(400, parsed.message);
    if (!isResource(parsed.value.resource)) return sentenceError(404, `There is no resource ${parsed.value.resource}`);
    try {
      return await handler({ ...parsed.value, request, principal, note }, context);
    } catch (error) {
      if (error instanceof QueryRefusal) return sentenceError(400, error.message);
      throw error;
    }
  },
});

const queryContext = ({ db, connectionOf }: DirectoryContext, principal: RowPrincipal): QueryContext => ({
  db,
  principal,
  connectionOf,
});

const get = resource("GET", undefined, async ({ resource: name, key, query, count: isCount, principal }, context) => {
  const on = queryContext(context, principal);
  const d = isCount ? count(on, name, key, query) : await read(on, name, key, query);
  return Response.json({ d }, { headers: { "cache-control": "no-cache" } });
});

const post = resource("POST", "createRow", async ({ resource: name, key, request, principal, note }, context) => {
  if (key) return sentenceError(400, "A new row has no key yet");
  const body = await bodyOf(request);
  if (body instanceof Response) return body;
  if (isRevoked(principal, context)) return unauthorized();
  const made = create(name, body, principal, context);
  if (!made.ok) return sentenceError(made.status, made.message);
  note(describeRows(context.db, name, [made.id]));
  const newRow = { is: "eq", field: "id", value: made.id } as const;
  const [row] = await read(queryContext(context, principal), name, newRow, { expand: [], orderBy: [] });
  const isWanted = new URL(request.url).searchParams.get("returnResource") !== "false";
  return Response.json(isWanted ? row : { id: made.id }, { status: 201 });
});

const patch = resource("PATCH", "changeRows", async (given, context) => {
  const { resource: name, request, principal, note } = given;
  const filters = filtersOf(given);
  if (filters.length === 0) return sentenceError(400, "Expected a key or $filter, to say what to change");
  const body = await bodyOf(request);
  if (body instanceof Response) return body;
  if (isRevoked(principal, context)) return unauthorized();
  const ids = idsOf({ db: context.db, principal }, name, filters);
  note(describeRows(context.db, name, ids));
  const refusal = changes(name, ids, body, principal, context);
  return refusal ? sentenceError(refusal.status, refusal.message) : new Response(null, { status: 200 });
});

const del = resource("DELETE", "deleteRows", (given, context) => {
  const { resource: name, principal, note } = given;
  const filters = filtersOf(given);
  if (filters.length === 0) return sentenceError(400, "Expected a key or $filter, to say what to delete");
  const ids = idsOf({ db: context.db, principal }, name, filters);
  note(describeRows(context.db, name, ids));
  const refusal = remove(name, ids, principal, context);
  return refusal ? sentenceError(refusal.status, refusal.message) : new Response(null, { status: 200 });
});

const filtersOf = ({ key, query: { filter } }: Address) => [key, filter].flatMap((one) => (one ? [one] : []));

/** Checked again after the body was read, which may take a while. */
const isRevoked = (principal: RowPrincipal, { db }: DirectoryContext): boolean =>
  principal.is === "person" && !isValid(principal.grant, db);

const AnyBody = z.record(z.string(), z.unknown());

/** A body that is not an object counts as an empty one, in which required fields are missing. */
async function bodyOf(request: Request): Promise<Readonly<Record<string, unknown>> | Response> {
  const sent = await readBody(request, { limitBytes });
  return sent.ok ? (AnyBody.safeParse(sent.value).data ?? {}) : sentenceError(sent.status, sent.message);
}

export const publicRoutes: readonly Route[] = [whoami, refreshToken, get, post, patch, del];
