import type { Principal } from "../model/scope.ts";
import type { Route } from "./route.ts";
import { createRouter, type Match } from "./router.ts";

/** Answers every request. `known`: who sends it, where the transport (the cloud's tunnel) has authenticated that already. */
export type Fetch<Known = Principal> = (request: Request, known?: Known) => Promise<Response>;

interface Options<Principal, Context, R extends Route<Principal, Context>, Known> {
  readonly routes: readonly R[];
  readonly context: Context;
  /** Whether the literal segments of a path match in any case. */
  readonly ignoreCase?: boolean;
  /** Who sends a request, or the answer that refuses it. `route` is undefined when none fits. */
  readonly authenticate: (
    request: Request,
    route: R | undefined,
    known: Known | undefined,
  ) => Principal | Response | Promise<Principal | Response>;
  /** `methods`: of the routes that fit the path. */
  readonly notFound: (request: Request, methods: readonly string[]) => Response;
  /** An error in the form of this surface. */
  readonly error: (status: number, message: string, request: Request) => Response;
}

/** Routes in, one function that answers every request out: route → principal → answer. */
export function createFetch<Principal extends object, Context, R extends Route<Principal, Context>, Known = Principal>({
  routes,
  context,
  ignoreCase = false,
  authenticate,
  notFound,
  error,
}: Options<Principal, Context, R, Known>): Fetch<Known> {
  const router = createRouter(routes, { ignoreCase });

  const answer = async (request: Request, known: Known | undefined): Promise<Response> => {
    const match = router.find(request);
    const principal = await authenticate(request, match?.route, known);
    if (principal instanceof Response) return principal;
    if (!match) return notFound(request, router.methodsOf(new URL(request.url).pathname));
    const params = decode(match);
    if (typeof params === "string") return error(400, params, request);
    return match.route.answer(request, { params, principal }, context);
  };

  return (request, known) => (request.method === "HEAD" ? answer(request, known).then(headOf) : answer(request, known));
}

/** The parameters of query and path without percent-encoding, or the sentence that says which one cannot be read. */
function decode({ params, query }: Match<unknown>): Readonly<Record<string, string>> | string {
  const decoded = { ...query };
  try {
    for (const name in params) decoded[name] = decodeURIComponent(params[name] ?? "");
    return decoded;
  } catch {
    return `Failed to decode param, expected valid %-encoding: ${Object.values(params).join(", ")}`;
  }
}

async function headOf(response: Response): Promise<Response> {
  const { status, headers } = response;
  // A stream has no length to report, and nobody reads it.
  if (headers.has("etag")) headers.set("content-length", String((await response.arrayBuffer()).byteLength));
  else await response.body?.cancel();
  return new Response(null, { status, headers });
}
