import { createRouter } from "../../core/http/router.ts";
import { auditRoutes } from "./admin/audit.ts";
import { changeRoutes } from "./admin/changes.ts";
import { commandRoutes } from "./admin/commands.ts";
import { deviceRoutes as adminDeviceRoutes } from "./admin/devices.ts";
import { fleetRoutes } from "./admin/fleets.ts";
import { keyRoutes } from "./admin/keys.ts";
import { metricsRoutes } from "./admin/metrics.ts";
import { releaseRoutes } from "./admin/releases.ts";
import { tokenRoutes } from "./admin/tokens.ts";
import { variableRoutes } from "./admin/variables.ts";
import { registerRoutes } from "./device-api/register.ts";
import { reportRoutes } from "./device-api/report.ts";
import { stateRoutes } from "./device-api/state.ts";
import { tagRoutes } from "./device-api/tags.ts";
import { errorOf, type Route } from "./http.ts";
import { publicRoutes } from "./public-api/public-api.ts";

/** What the directory answers. */
export const routes: readonly Route[] = [
  ...[
    fleetRoutes,
    keyRoutes,
    releaseRoutes,
    variableRoutes,
    adminDeviceRoutes,
    commandRoutes,
    tokenRoutes,
    auditRoutes,
    changeRoutes,
  ].flat(),
  ...[registerRoutes, stateRoutes, reportRoutes, tagRoutes].flat(),
  ...publicRoutes,
  ...metricsRoutes,
];

/** The Worker finds the route, too: it answers requests without a credential itself. */
export const router = createRouter(routes);

export const notFound = (request: Request): Response =>
  errorOf(404, `There is no ${request.method} ${new URL(request.url).pathname}`, request);
