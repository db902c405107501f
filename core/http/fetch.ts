import { IttyRouter, type IRequestStrict } from "itty-router";
import type * as z from "zod";
import { common, failed } from "../api/fields.ts";
import {
  none,
  patternOf,
  sentences,
  type Endpoint,
  type Fault,
  type InputOf,
  type Method,
  type Replies,
  type ReplyOf,
} from "../api/endpoint.ts";
import { apiScopeOf } from "../model/config.ts";
import { covers, everything, type Scope } from "../model/scope.ts";
import type { Supervisor } from "../supervisor.ts";
import { keyOf } from "./auth.ts";
import { LargeBodies, readBody, type Body } from "./body.ts";
import { plain, sized, toResponse, type AnyReply } from "./reply.ts";
import { messageOf } from "../model/show.ts";

/**
 * Who asks, where the way by which a request came has settled that already (the cloud's tunnel). The key that is the
 * cloud's own stands for one that is not sent: that is the key which the cloud replaces when it asks for a new one.
 */
export interface Caller {
  readonly scope: Scope;
}

export type Fetch = (request: Request, caller?: Caller) => Promise<Response>;

interface Asked {
  readonly params: Readonly<Record<string, string>>;
  readonly scope: Scope;
  readonly key: string | undefined;
  readonly largeBodies: LargeBodies;
}

/** An endpoint together with its handler. */
export interface Route {
  readonly method: Method;
  readonly path: string;
  readonly open: boolean;
  readonly summary: string;
  readonly replies: Replies;
  readonly answer: (request: Request, asked: Asked, supervisor: Supervisor) => Promise<Response>;
}

export function route<P, B, R extends Replies>(
  endpoint: Endpoint<P, B, R>,
  handler: (input: InputOf<P, B>, supervisor: Supervisor) => ReplyOf<R> | Promise<ReplyOf<R>>,
): Route {
  const { method, path, open = false, summary, replies, scope, device, bodyLimitBytes } = endpoint;

  const answer = async (sent: Body & { ok: true }, asked: Asked, supervisor: Supervisor): Promise<AnyReply> => {
    const params = endpoint.params.safeParse(asked.params);
    const body = endpoint.body.safeParse(sent.value);
    if (!params.success || !body.success) {
      const faults = [...(params.error?.issues ?? []), ...(body.error?.issues ?? [])].map(toFault);
      const { contentType } = sent;
      return (
        endpoint.invalid?.({ faults, params: asked.params, contentType }) ?? {
          status: 400,
          body: failed(sentences(faults)),
        }
      );
    }
    const input = { params: params.data, body: body.data };
    if (scope && !scope.apps(input).every((appId) => covers(asked.scope, appId))) return scope.refused(input);
    return handler({ ...input, scope: asked.scope, key: asked.key }, supervisor);
  };

  return {
    method,
    path,
    open,
    summary,
    replies,
    answer: async (request, asked, supervisor) => {
      try {
        if (device && !asked.scope.device) return toResponse(replies, device.refused(), request);
        const { largeBodies } = asked;
        const sent =
          endpoint.body === none ? nothing : await readBody(request, { limitBytes: bodyLimitBytes, largeBodies });
        if (!sent.ok) return toResponse(common, { status: sent.status, body: failed(sent.message) }, request);
        return toResponse(replies, await answer(sent, asked, supervisor), request);
      } catch (error) {
        const message = messageOf(error);
        supervisor.ports.log.warn(`${method} ${path} failed: ${message}`);
        return toResponse(replies, endpoint.failed?.(message) ?? { status: 503, body: failed(message) }, request);
      }
    },
  };
}

const nothing = { ok: true, value: {}, contentType: "" } as const;

const toFault = (issue: z.core.$ZodIssue): Fault => ({
  path: issue.path.map(String).join("."),
  message: (issue.code === "invalid_key" && issue.issues[0]?.message) || issue.message,
});

interface Match {
  readonly route: Route;
  /** As they stand in the path. */
  readonly params: Readonly<Record<string, string>>;
  /** Decoded. */
  readonly query: Readonly<Record<string, string>>;
}

/** Routes and the assembled supervisor in; one function that answers every request out. */
export function createFetch(routes: readonly Route[], supervisor: Supervisor): Fetch {
  const router = createRouter(routes);
  const largeBodies = new LargeBodies();

  const answer = async (request: Request, caller: Caller | undefined): Promise<Response> => {
    const match = await router.find(request);

    // A key is asked for before it is told whether there is such a path.
    const key = keyOf(request) ?? (caller && supervisor.keys.global());
    const scope = caller?.scope ?? scopeOf(supervisor, key) ?? (match?.route.open ? everything : undefined);
    if (!scope) return toResponse(common, { status: 401, body: "Unauthorized" }, request);

    if (!match) return router.notFound(request);
    const path = decode(match.params);
    if (typeof path === "string") return toResponse(common, { status: 400, body: failed(path) }, request);
    const params = { ...match.query, ...path };
    return match.route.answer(request, { params, scope, key, largeBodies }, supervisor);
  };

  return async (request, caller) => {
    const response = await answer(request, caller);
    return request.method === "HEAD" ? headOf(response) : response;
  };
}

/**
 * Everything is open on a device in local mode, whatever key comes along: the developer's tool sends the cloud's. How far
 * the key of an application reaches is looked up for each request, so that a changed config counts at once.
 */
const scopeOf = ({ targets, keys }: Supervisor, key: string | undefined): Scope | undefined =>
  targets.isLocalMode()
    ? everything
    : key === undefined
      ? undefined
      : keys.scopeOf(key, apiScopeOf(targets.current().config));

function createRouter(routes: readonly Route[]) {
  const router = IttyRouter();
  const add = { GET: router.get, POST: router.post, PATCH: router.patch, DELETE: router.delete };
  for (const route of routes)
    add[route.method](route.path, ({ params, query }: IRequestStrict): Match => ({
      route,
      params,
      query: strings(query),
    }));
  for (const entry of router.routes) entry[1] = patternOf(entry[3] ?? "");

  // Nearly every request names one of our paths letter by letter: those are found without a look at any pattern.
  const exact = new Map(
    routes
      .filter(({ path }) => !path.includes(":"))
      .map((one): [string, Match] => [`${one.method} ${one.path}`, { route: one, params: {}, query: {} }]),
  );

  const methodsOf = (pathname: string): string =>
    router.routes
      .filter(([, path]) => path.test(pathname))
      .flatMap(([method]) => (method === "GET" ? [method, "HEAD"] : [method]))
      .join(",");

  return {
    find: (request: Request): Match | undefined | Promise<Match | undefined> => {
      const { url } = request;
      const method = request.method === "HEAD" ? "GET" : request.method;
      return (
        exact.get(`${method} ${url.slice(url.indexOf("/", url.indexOf("//") + 2))}`) ?? router.fetch({ method, url })
      );
    },

    /** OPTIONS tells what there is instead. */
    notFound: (request: Request): Response => {
      const { pathname } = new URL(request.url);
      const methods = request.method === "OPTIONS" ? methodsOf(pathname) : "";
      if (!methods)
        return new Response(`Cannot ${request.method} ${pathname}`, {
          status: 404,
          headers: { "content-type": plain },
        });
      const response = sized(methods, 200, plain, request);
      response.headers.set("allow", methods);
      return response;
    },
  };
}

/** A name that is there more than once says nothing. */
const strings = (query: IRequestStrict["query"]): Record<string, string> =>
  Object.fromEntries(
    Object.entries(query).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])),
  );

/** Path parameters as they were meant, or the sentence that says which one cannot be read. */
function decode(params: Match["params"]): Match["params"] | string {
  try {
    return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, decodeURIComponent(value)]));
  } catch {
    return `Failed to decode param, expected valid %-encoding: ${Object.values(params).join(", ")}`;
  }
}

async function headOf(response: Response): Promise<Response> {
  const { status, headers } = response;
  // What is sent bit by bit has no length to tell, and would be made for nobody.
  if (headers.has("etag")) headers.set("content-length", String((await response.arrayBuffer()).byteLength));
  else await response.body?.cancel();
  return new Response(null, { status, headers });
}
