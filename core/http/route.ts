import { issueMessage } from "../model/issue.ts";
import type * as z from "zod";
import { Cancelled, type Turn } from "../model/turn.ts";
import {
  actsOnce,
  none,
  sentences,
  type Endpoint,
  type Fault,
  type InputOf,
  type Method,
  type Replies,
  type ReplyOf,
} from "../api/endpoint.ts";
import { messageOf } from "../model/show.ts";
import { preferredOf } from "./accept.ts";
import { readBody, type Body, type LargeBodies } from "./body.ts";
import { toResponse, type AnyReply } from "./reply.ts";

/** A method and a path, and what answers there. */
export interface Route<Principal, Context> {
  readonly method: Method;
  readonly path: string;
  /** It answers requests without a credential too. */
  readonly open?: boolean;
  readonly answer: (request: Request, asked: Asked<Principal>, context: Context) => Response | Promise<Response>;
}

interface Asked<Principal> {
  /** Of the query and of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly principal: Principal;
}

/** What is known of an endpoint before its input is. */
interface EndpointHead extends Pick<
  Endpoint<unknown, unknown, Replies>,
  "method" | "path" | "replies" | "manages" | "writes" | "repeats" | "secretAnswer" | "waits"
> {
  readonly device?: { readonly refused: () => AnyReply };
  readonly shell?: { readonly refused: () => AnyReply };
  readonly person?: { readonly refused: () => AnyReply };
}

/** What the endpoints of one HTTP surface have in common. */
export interface Surface<Principal, Context> {
  /**
   * Refuses a principal that may not use the endpoint. Called before the body is read, and again after: a body may take its
   * time, and the credential may have ended.
   */
  readonly refuse: (
    endpoint: EndpointHead,
    principal: Principal,
    context: Context,
    request: Request,
  ) => Response | undefined;
  readonly covers: (principal: Principal, appId: number) => boolean;
  /** An error in the form of this surface. `faults`: of an invalid input, whose sentences are the message. */
  readonly error: (status: number, message: string, request: Request, faults?: readonly Fault[]) => Response;
  /** Called when something unforeseen is thrown: the message goes into the answer. Absent: it is thrown on. */
  readonly failed?: (endpoint: EndpointHead, message: string) => void;
  /** Absent: any number of large bodies may arrive at once. */
  readonly largeBodies?: LargeBodies | undefined;
  /** Calls `act` once for a request and its repetitions, or later. Absent: it is called at once. For what is not only read. */
  readonly perform?: (
    endpoint: EndpointHead,
    asked: { readonly request: Request; readonly principal: Principal; readonly body: unknown },
    act: (turn?: Turn) => Promise<Response>,
    context: Context,
  ) => Promise<Response>;
}

export type Handler<P, B, R, Principal, Context> = (
  input: InputOf<P, B> & Principal,
  context: Context,
) => ReplyOf<R> | Promise<ReplyOf<R>>;

/** An endpoint with its handler: principal → input → scope → reply. */
export function createRoute<P, B, R extends Replies, Principal, Context>(
  endpoint: Endpoint<P, B, R>,
  handler: Handler<P, B, R, Principal, Context>,
  surface: Surface<Principal, Context>,
): Route<Principal, Context> {
  const { method, path, open, replies, scope, bodyLimitBytes, headers = [] } = endpoint;
  const { failed, largeBodies, perform } = surface;
  const forms = replies[200]?.contentTypes;

  const answer: Route<Principal, Context>["answer"] = async (request, asked, context) => {
    const { principal } = asked;
    const given = headers.length > 0 ? withHeaders(request, asked.params, headers) : asked.params;
    try {
      const refused = surface.refuse(endpoint, principal, context, request);
      if (refused) return refused;
      let sent: Body = withoutBody;
      if (endpoint.body !== none) {
        sent = await readBody(request, { limitBytes: bodyLimitBytes, largeBodies });
        if (!sent.ok) return surface.error(sent.status, sent.message, request);
        const refusedNow = surface.refuse(endpoint, principal, context, request);
        if (refusedNow) return refusedNow;
      }
      const params = endpoint.params.safeParse(given);
      const body = endpoint.body.safeParse(sent.value);
      if (!params.success || !body.success) {
        const faults = [...(params.error?.issues ?? []), ...(body.error?.issues ?? [])].map(toFault);
        const reply = endpoint.invalid?.({ faults, params: given, contentType: sent.contentType });
        return reply ? toResponse(replies, reply, request) : surface.error(400, sentences(faults), request, faults);
      }
      const input = {
        params: params.data,
        body: body.data,
        ...(forms && { accepted: preferredOf(forms, request.headers.get("accept")) }),
        left: () => request.signal,
      };
      if (scope && !scope.apps(input).every((appId) => surface.covers(principal, appId)))
        return toResponse(replies, scope.refused(input), request);
      const act = async (turn?: Turn): Promise<Response> => {
        try {
          const reply = await handler({ ...input, ...(turn && { turn }), ...principal }, context);
          return toResponse(replies, reply, request);
        } catch (error) {
          return afterError(error, request);
        }
      };
      return await (perform && actsOnce(endpoint)
        ? perform(endpoint, { request, principal, body: sent.value }, act, context)
        : act());
    } catch (error) {
      return afterError(error, request);
    }
  };
  const afterError = (error: unknown, request: Request): Response => {
    if (!failed || error instanceof Cancelled) throw error;
    const message = messageOf(error);
    failed(endpoint, message);
    return endpoint.failed
      ? toResponse(replies, endpoint.failed(message), request)
      : surface.error(503, message, request);
  };
  return { method, path, ...(open && { open }), answer };
}

/** Parameters with these names come from the headers only. */
const withHeaders = (
  { headers }: Request,
  params: Readonly<Record<string, string>>,
  names: readonly string[],
): Readonly<Record<string, string>> =>
  Object.fromEntries([
    ...Object.entries(params).filter(([name]) => !names.includes(name)),
    ...names.flatMap((name): [string, string][] => {
      const value = headers.get(name);
      return value === null ? [] : [[name, value]];
    }),
  ]);

const withoutBody = { ok: true, value: {}, contentType: "" } as const;

const toFault = (issue: z.core.$ZodIssue): Fault => ({
  path: issue.path.map(String).join("."),
  message: issueMessage(issue),
});

/** A handler for each endpoint of a list, by name: one that is missing does not compile. */
export type Handlers<Api, Principal, Context> = {
  readonly [N in keyof Api]: Handler<ParamsOf<Api>[N], BodiesOf<Api>[N], RepliesOf<Api>[N], Principal, Context>;
};
export type ParamsOf<Api> = {
  readonly [N in keyof Api]: Api[N] extends Endpoint<infer P, infer _B, infer _R> ? P : never;
};
export type BodiesOf<Api> = {
  readonly [N in keyof Api]: Api[N] extends Endpoint<infer _P, infer B, infer _R> ? B : never;
};
export type RepliesOf<Api> = {
  readonly [N in keyof Api]: Api[N] extends Endpoint<infer _P, infer _B, infer R> ? R : never;
};

/** Binds each endpoint of a list to the handler of the same name. The compiler cannot infer the first three types. */
export function createRoutes<
  P,
  B extends { readonly [N in keyof P]: unknown },
  R extends { readonly [N in keyof P]: Replies },
  Principal,
  Context,
>(
  endpoints: { readonly [N in keyof P]: Endpoint<P[N], B[N], R[N]> },
  handlers: { readonly [N in keyof P]: Handler<P[N], B[N], R[N], Principal, Context> },
  surface: Surface<Principal, Context>,
): readonly Route<Principal, Context>[] {
  const routes: Route<Principal, Context>[] = [];
  for (const name in endpoints) routes.push(createRoute(endpoints[name], handlers[name], surface));
  return routes;
}
