import type { EventSink } from "../events/events.ts";
import { mayRespondAsync, type Fault } from "../api/endpoint.ts";
import { common, failed } from "../api/fields.ts";
import { asyncReplies } from "../api/once.ts";
import { fromKept, toKept, type KeptAnswer } from "../model/kept-request.ts";
import { covers, everything, type Principal, type Scope } from "../model/scope.ts";
import type { Turn } from "../model/turn.ts";
import { keyOf } from "./auth.ts";
import { LargeBodies } from "./body.ts";
import { createFetch, type Fetch } from "./fetch.ts";
import type { Once } from "./once.ts";
import { preferencesOf } from "./prefer.ts";
import { plain, refusalAt, sized, toResponse } from "./reply.ts";
import type { Route, Surface } from "./route.ts";
import { showOperation, type ShownOperation } from "./shown-operation.ts";

interface DeviceOptions<Context> {
  readonly routes: readonly Route<Principal, Context>[];
  readonly context: Context;
  /** What a key opens, and a request without one; undefined: nothing. */
  readonly scopeOf: (key: string | undefined) => Scope | undefined;
  /** The key that the cloud has. */
  readonly cloudKey: () => string;
}

/** The device's API, for every transport. */
export const createDeviceFetch = <Context>({ routes, context, scopeOf, cloudKey }: DeviceOptions<Context>): Fetch =>
  createFetch<Principal, Context, Route<Principal, Context>>({
    routes,
    context,
    ignoreCase: true,
    // The key is checked before the answer shows whether there is such a path.
    authenticate: (request, route, known) => {
      // Through the tunnel the cloud sends no key, and replaces its own when it asks for a new one.
      const key = keyOf(request) ?? (known && cloudKey());
      const scope = known?.scope ?? scopeOf(key) ?? (route?.open ? everything : undefined);
      return scope
        ? { scope, key, name: known?.name, isRelayed: known !== undefined }
        : (refusalAt(request, 401, "The request has no valid key, and the device is not in local mode") ??
            toResponse(common, { status: 401, body: "Unauthorized" }, request));
    },
    notFound,
    error: deviceError,
  });

interface Parts {
  readonly events: EventSink;
  readonly once: Once;
  readonly operations: Operations;
  readonly callerOf: (principal: Principal) => string;
}

/** Where operations go on after the first answer. */
interface Operations {
  start(
    of: { readonly caller: string; readonly name: string; readonly waits: boolean },
    act: (turn: Turn) => Promise<KeptAnswer>,
  ): Promise<ShownOperation | undefined>;
  find(caller: string, id: string, waitMs: number): Promise<ShownOperation | undefined>;
}

/** Rules that all endpoints of the device's API share. */
export const deviceSurface = ({ events, once, operations, callerOf }: Parts): Surface<Principal, unknown> => ({
  perform: (endpoint, { request, principal, body }, act) => {
    const caller = callerOf(principal);
    const asking = { request, caller, body, isSecret: endpoint.secretAnswer === true };
    const { respondAsync, waitMs = 0 } = preferencesOf(request);
    if (!respondAsync || !mayRespondAsync(endpoint)) return once.answer(asking, act);
    return once.answer(asking, async () => {
      const { method, path, waits = false } = endpoint;
      const of = { caller, name: `${method} ${path}`, waits };
      const started = await operations.start(of, async (turn) => toKept(await act(turn)));
      if (!started) return deviceError(503, "There are too many operations in progress; try again later", request);
      const now = waitMs > 0 ? await operations.find(caller, started.id, Math.min(waitMs, longestWaitMs)) : started;
      if (now?.answer && !("without" in now.answer)) return fromKept(now.answer);
      const accepted = toResponse(asyncReplies, { status: 202, body: showOperation(now ?? started) }, request);
      accepted.headers.set("location", `/v3/operations/${started.id}`);
      accepted.headers.set("preference-applied", "respond-async");
      return accepted;
    });
  },
  refuse: ({ device, shell, person, replies }, { scope }, _, request) =>
    device && !scope.device
      ? toResponse(replies, device.refused(), request)
      : person && scope.apps !== "all"
        ? toResponse(replies, person.refused(), request)
        : shell && !scope.shell
          ? toResponse(replies, shell.refused(), request)
          : undefined,
  covers: ({ scope }, appId) => covers(scope, appId),
  error: deviceError,
  failed: ({ method, path }, message) => events.emit({ kind: "requestFailed", method, path, reason: message }),
  largeBodies: new LargeBodies(),
});

/** A relayed request is answered within 50 s. */
const longestWaitMs = 45_000;

/** An error in the form of the version to which the path belongs. */
export function deviceError(status: number, message: string, request: Request, faults?: readonly Fault[]): Response {
  return refusalAt(request, status, message, faults) ?? toResponse(common, { status, body: failed(message) }, request);
}

/** OPTIONS answers with the methods of the path. */
function notFound(request: Request, methodsOfPath: readonly string[]): Response {
  const methods = methodsOfPath.flatMap((method) => (method === "GET" ? [method, "HEAD"] : [method])).join(",");
  if (request.method !== "OPTIONS" || !methods) {
    const { pathname } = new URL(request.url);
    return (
      refusalAt(request, 404, `There is no ${request.method} ${pathname}`) ??
      new Response(`Cannot ${request.method} ${pathname}`, { status: 404, headers: { "content-type": plain } })
    );
  }
  const response = sized(methods, 200, plain, request);
  response.headers.set("allow", methods);
  return response;
}
