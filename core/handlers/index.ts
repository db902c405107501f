import { endpoints } from "../api/index.ts";
import {
  createRoutes,
  type BodiesOf,
  type Handlers,
  type ParamsOf,
  type RepliesOf,
  type Route,
  type Surface,
} from "../http/route.ts";
import type { Principal } from "../model/scope.ts";
import type { Supervisor } from "../supervisor.ts";
import * as applications from "./applications.ts";
import * as device from "./device.ts";
import * as health from "./health.ts";
import * as hostConfig from "./host-config.ts";
import * as journal from "./journal.ts";
import * as keys from "./keys.ts";
import * as localMode from "./local-mode.ts";
import * as services from "./services.ts";
import * as state from "./state.ts";

type Api = typeof endpoints;

const handlers: Handlers<Api, Principal, Supervisor> = {
  ...applications,
  ...device,
  ...health,
  ...hostConfig,
  ...journal,
  ...keys,
  ...localMode,
  ...services,
  ...state,
};

/** The device's API: every endpoint of `endpoints` with its handler. */
export const createDeviceRoutes = (surface: Surface<Principal, Supervisor>): readonly Route<Principal, Supervisor>[] =>
  createRoutes<ParamsOf<Api>, BodiesOf<Api>, RepliesOf<Api>, Principal, Supervisor>(endpoints, handlers, surface);
