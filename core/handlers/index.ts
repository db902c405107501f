import { endpoints } from "../api/index.ts";
import { createRoutes, type BodiesOf, type ParamsOf, type RepliesOf, type Route, type Surface } from "../http/route.ts";
import type { Principal } from "../model/scope.ts";
import * as applications from "./applications.ts";
import * as compose from "./compose.ts";
import * as device from "./device.ts";
import * as events from "./events.ts";
import * as docs from "./docs.ts";
import * as exec from "./exec.ts";
import * as health from "./health.ts";
import * as history from "./history.ts";
import * as hostConfig from "./host-config.ts";
import * as journal from "./journal.ts";
import * as keys from "./keys.ts";
import * as localMode from "./local-mode.ts";
import * as locks from "./locks.ts";
import * as metrics from "./metrics.ts";
import * as openapi from "./openapi.ts";
import * as operations from "./operations.ts";
import * as plan from "./plan.ts";
import * as processes from "./processes.ts";
import * as serviceLogs from "./service-logs.ts";
import * as problems from "./problems.ts";
import * as services from "./services.ts";
import * as state from "./state.ts";
import * as stream from "./stream.ts";
import * as update from "./update.ts";

type Api = typeof endpoints;

const handlers = {
  ...applications,
  ...compose,
  ...device,
  ...events,
  ...docs,
  ...exec,
  ...health,
  ...history,
  ...hostConfig,
  ...journal,
  ...keys,
  ...localMode,
  ...locks,
  ...metrics,
  ...openapi,
  ...operations,
  ...plan,
  ...processes,
  ...serviceLogs,
  ...problems,
  ...services,
  ...state,
  ...stream,
  ...update,
};

type ContextOf<H> = H extends (input: never, context: infer C) => unknown ? (context: C) => void : never;
/** What all handlers together use of the assembled device. */
export type HandlerContext =
  ContextOf<(typeof handlers)[keyof typeof handlers]> extends (context: infer C) => void ? C : never;

/** The device's API: every endpoint of the list with its handler. Does not compile if one is missing. */
export const createDeviceRoutes = (
  surface: Surface<Principal, HandlerContext>,
): readonly Route<Principal, HandlerContext>[] =>
  createRoutes<ParamsOf<Api>, BodiesOf<Api>, RepliesOf<Api>, Principal, HandlerContext>(endpoints, handlers, surface);
