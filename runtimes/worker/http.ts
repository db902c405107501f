import { IttyRouter, type IRequestStrict } from "itty-router";
import { endpoints } from "../../core/api/admin/index.ts";
import { sentences, type Endpoint, type Method, type Replies, type ReplyOf } from "../../core/api/endpoint.ts";
import { readBody } from "../../core/http/body.ts";
import { toResponse } from "../../core/http/reply.ts";
import type { Grant } from "./auth/access.ts";
import { isGood, type DirectoryContext, type Principal, type Note } from "./directory/context.ts";

/** Of a body where nothing else is said, once it is unpacked. */
export const limitBytes = 64 * 1024;

/** A path, and what answers there. */
export interface Route {
  readonly method: Method;
  readonly path: string;
  /** What a request without a credential gets; said by the Worker itself. */
  readonly anonymous: () => Response;
  /** What it is called in the audit log; absent for what changes nothing. */
  readonly operation?: string | undefined;
  readonly answer: (request: Request, asked: Asked, context: DirectoryContext) => Response | Promise<Response>;
}

export interface Asked {
  /** Of the path and the query. */
  readonly params: Readonly<Record<string, string>>;
  readonly principal: Principal;
  readonly note: Note;
}

/** What the handler of an administration's endpoint is given. */
export interface Ask<P, B> {
  readonly params: P;
  readonly body: B;
  readonly grant: Grant;
  readonly note: Note;
}

/** An endpoint for people with a token, with its handler. What changes anything needs the permission for it. */
export function route<P, B, R extends Replies>(
  endpoint: Endpoint<P, B, R>,
  handler: (ask: Ask<P, B>, context: DirectoryContext) => ReplyOf<R> | Promise<ReplyOf<R>>,
): Route {
  const { method, path, replies, bodyLimitBytes, manages } = endpoint;
  return {
    method,
    path,
    anonymous: tokenRequired,
    operation: method === "GET" ? undefined : operationIds.get(endpoint),
    answer: async (request, { params: given, principal, note }, context) => {
      if (principal.is !== "person") return tokenRequired();
      const { grant } = principal;
      if (manages && !grant.manage) return refuse(403, "This token may not manage keys and tokens");
      if (!manages && method !== "GET" && !grant.write) return refuse(403, "This token may only read");
      const sent = await readBody(request, { limitBytes: bodyLimitBytes });
      if (!sent.ok) return refuse(sent.status, sent.message);
      // A body may take its time, and the token be revoked meanwhile.
      if (!isGood(grant, context.db)) return tokenRequired();
      const params = endpoint.params.safeParse(given);
      const body = endpoint.body.safeParse(sent.value);
      if (params.success && body.success)
        return toResponse(
          replies,
          await handler({ params: params.data, body: body.data, grant, note }, context),
          request,
        );
      const faults = [...(params.error?.issues ?? []), ...(body.error?.issues ?? [])].map((issue) => ({
        path: issue.path.map(String).join("."),
        message: issue.message,
      }));
      const { contentType } = sent;
      const reply = endpoint.invalid?.({ faults, params: given, contentType });
      return reply ? toResponse(replies, reply, request) : refuse(400, sentences(faults));
    },
  };
}

const operationIds = new Map<unknown, string>(Object.entries(endpoints).map(([name, endpoint]) => [endpoint, name]));

const tokenRequired = (): Response => refuse(401, "Expected Authorization: Bearer, with a token of this cloud");

/** Recorded: what devices send needs a key, in words. */
export const keyRequired = (): Response => refuse(401, "API key required");

export const refuse = (status: number, error: string): Response => Response.json({ error }, { status });

export type Find = (method: string, url: string) => Promise<Match | undefined>;

export interface Match {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

/** Which route a request is for. */
export function createFinder(routes: readonly Route[]): Find {
  const router = IttyRouter();
  const add = { GET: router.get, POST: router.post, PATCH: router.patch, DELETE: router.delete };
  for (const route of routes)
    add[route.method](route.path, ({ params, query }: IRequestStrict): Match => ({
      route,
      params: { ...strings(query), ...strings(params) },
    }));
  return (method, url) => router.fetch({ method, url });
}

const strings = (given: Readonly<Record<string, unknown>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(given).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])),
  );
