import * as z from "zod";
import { readBody } from "../../../core/http/body.ts";
import { isGood, type DirectoryContext, type Note } from "../directory/context.ts";
import { limitBytes, type Asked, type Route } from "../http.ts";
import { parseAddress, type Address } from "./odata.ts";
import { count, describeRows, idsOf, isResource, mayWrite, QueryRefusal, read, type Reader } from "./resources.ts";
import { changes, create, remove } from "./writes.ts";

/** What the public SDK and CLI ask for beside the proxy. */

const unauthorized = (): Response => new Response(null, { status: 401 });

const whoami: Route = {
  method: "GET",
  path: "/actor/v1/whoami",
  anonymous: unauthorized,
  answer: (_request, { principal }) => {
    switch (principal.is) {
      case "person": {
        const username = principal.grant.tokenId;
        return Response.json({ id: 1, actorType: "user", actorTypeId: 1, username, email: null });
      }
      case "device":
        return Response.json({
          id: principal.id,
          actorType: "device",
          actorTypeId: principal.id,
          uuid: principal.uuid,
        });
      case "provisioning":
        return Response.json({ id: principal.fleetId, actorType: "application", actorTypeId: principal.fleetId });
      case "nobody":
        return unauthorized();
    }
  },
};

/** Tokens are no JWTs that age: one stays as good as it is. */
const notRenewed = (): Response =>
  Response.json("A token of this cloud is not renewed: ask for another one", { status: 400 });
const refreshToken: Route = {
  method: "GET",
  path: "/user/v1/refresh-token",
  anonymous: notRenewed,
  answer: notRenewed,
};

interface Sent {
  readonly request: Request;
  readonly note: Note;
}

type Answering = (
  address: Address,
  reader: Reader,
  sent: Sent,
  context: DirectoryContext,
) => Promise<Response> | Response;

/** `/v7/…`: 401 without a key, 400 with a sentence for what is no query on these resources. */
const resource = (method: Route["method"], operation: string | undefined, answering: Answering): Route => ({
  method,
  path: "/v7/*",
  anonymous: unauthorized,
  operation,
  answer: async (request: Request, { principal, note }: Asked, context) => {
    if (principal.is !== "person" && principal.is !== "device") return unauthorized();
    if (method !== "GET" && !mayWrite(principal)) return Response.json("This token may only read", { status: 403 });
    const { pathname, searchParams } = new URL(request.url);
    const parsed = parseAddress(pathname.slice("/v7".length), searchParams);
    if (!parsed.ok) return Response.json(parsed.message, { status: 400 });
    if (!isResource(parsed.value.resource))
      return Response.json(`There is no resource ${parsed.value.resource}`, { status: 404 });
    try {
      return await answering(parsed.value, principal, { request, note }, context);
    } catch (error) {
      if (error instanceof QueryRefusal) return Response.json(error.message, { status: 400 });
      throw error;
    }
  },
});

const askFor = ({ db, env }: DirectoryContext, reader: Reader) => ({
  db,
  reader,
  connected: (uuid: string) => env.DEVICES.getByName(uuid).status(),
});

const get = resource(
  "GET",
  undefined,
  async ({ resource: name, key, query, count: isCount }, reader, _sent, context) => {
    const ask = askFor(context, reader);
    const d = isCount ? count(ask, name, key, query) : await read(ask, name, key, query);
    return Response.json({ d }, { headers: { "cache-control": "no-cache" } });
  },
);

const post = resource("POST", "createRow", async ({ resource: name, key }, reader, { request, note }, context) => {
  if (key) return Response.json("A new row has no key yet", { status: 400 });
  const body = await bodyOf(request);
  if (body instanceof Response) return body;
  if (isRevoked(reader, context)) return unauthorized();
  const made = create(name, body, reader, context);
  if (!made.ok) return Response.json(made.message, { status: made.status });
  note(describeRows(context.db, name, [made.id]));
  const [row] = await read(askFor(context, reader), name, { is: "eq", field: "id", value: made.id }, everyField);
  const isWanted = new URL(request.url).searchParams.get("returnResource") !== "false";
  return Response.json(isWanted ? row : { id: made.id }, { status: 201 });
});

const everyField = { expand: [], orderBy: [] };

const patch = resource(
  "PATCH",
  "changeRows",
  async ({ resource: name, key, query: { filter } }, reader, { request, note }, context) => {
    const filters = [key, filter].flatMap((one) => (one ? [one] : []));
    if (filters.length === 0) return Response.json("Expected a key or $filter, to say what to change", { status: 400 });
    const body = await bodyOf(request);
    if (body instanceof Response) return body;
    if (isRevoked(reader, context)) return unauthorized();
    const ids = idsOf({ db: context.db, reader }, name, filters);
    note(describeRows(context.db, name, ids));
    const refusal = changes(name, ids, body, reader, context);
    return refusal ? Response.json(refusal.message, { status: refusal.status }) : new Response(null, { status: 200 });
  },
);

const del = resource(
  "DELETE",
  "deleteRows",
  ({ resource: name, key, query: { filter } }, reader, { note }, context) => {
    const filters = [key, filter].flatMap((one) => (one ? [one] : []));
    if (filters.length === 0) return Response.json("Expected a key or $filter, to say what to delete", { status: 400 });
    const ids = idsOf({ db: context.db, reader }, name, filters);
    note(describeRows(context.db, name, ids));
    const refusal = remove(name, ids, reader, context);
    return refusal ? Response.json(refusal.message, { status: refusal.status }) : new Response(null, { status: 200 });
  },
);

/** Meanwhile: a body may take its time. */
const isRevoked = (reader: Reader, { db }: DirectoryContext): boolean =>
  reader.is === "person" && !isGood(reader.grant, db);

const AnyBody = z.record(z.string(), z.unknown());

/** What is no object is an empty one, which then lacks what is needed. */
async function bodyOf(request: Request): Promise<Readonly<Record<string, unknown>> | Response> {
  const sent = await readBody(request, { limitBytes });
  return sent.ok ? (AnyBody.safeParse(sent.value).data ?? {}) : Response.json(sent.message, { status: sent.status });
}

export const publicRoutes: readonly Route[] = [whoami, refreshToken, get, post, patch, del];
