import * as z from "zod";
import { endpoint, json, mixed, none, reply, text } from "../endpoint.ts";
import { AppId, AppIdV2, Failed, Force, Truthy, failed, fields, success } from "../fields.ts";

export const appNotFound = "App not found: an app needs to be installed for this endpoint to work.";
export const noService =
  "serviceName or imageId parameters were not provided or the app is multi-container. Use the v2 service action endpoints.";
export const serviceNotFound = "Service not found, a container must exist for this endpoint to work";

const v1Action = {
  method: "POST",
  waits: true,
  params: z.object({ appId: AppId }),
  body: Force,
  replies: {
    200: json(z.object({ containerId: z.string() })),
    400: text("Invalid app id", appNotFound, noService),
    401: text("Unauthorized"),
    423: Failed,
    503: Failed,
  },
  invalid: () => reply(400, "Invalid app id"),
  scope: {
    apps: ({ params }: { readonly params: { readonly appId: number } }) => [params.appId],
    refused: () => reply(401, "Unauthorized"),
  },
} as const;

export const stop = endpoint({
  ...v1Action,
  path: "/v1/apps/:appId/stop",
  summary: "Stop the container of an application that has only one, until the agent restarts",
});

export const start = endpoint({
  ...v1Action,
  path: "/v1/apps/:appId/start",
  summary: "Start the container of an application that has only one",
});

const v2Action = {
  method: "POST",
  waits: true,
  params: z.object({ appId: AppIdV2 }),
  body: fields({
    serviceName: z.string().nullish().catch(undefined),
    imageId: AppId.nullish().catch(undefined),
    force: Truthy,
  }),
  replies: {
    200: text("OK"),
    400: mixed(Failed, noService),
    401: Failed,
    404: text(appNotFound, serviceNotFound),
    423: Failed,
    503: Failed,
  },
  invalid: () => reply(400, failed("Invalid app id")),
  scope: {
    apps: ({ params }: { readonly params: { readonly appId: number } }) => [params.appId],
    refused: () => reply(401, failed("Unauthorized")),
  },
} as const;

export const restartService = endpoint({
  ...v2Action,
  path: "/v2/applications/:appId/restart-service",
  summary: "Restart one service: its container is made anew",
});

export const stopService = endpoint({
  ...v2Action,
  path: "/v2/applications/:appId/stop-service",
  summary: "Stop one service, until the agent restarts",
});

export const startService = endpoint({
  ...v2Action,
  path: "/v2/applications/:appId/start-service",
  summary: "Start one service that was stopped",
});

const ContainerId = z.union([
  z.object({ status: success, services: z.record(z.string(), z.string()) }),
  z.object({ status: success, containerId: z.string() }),
]);

export const containerId = endpoint({
  method: "GET",
  path: "/v2/containerId",
  summary: "The container of a service, or of every service, in the key's scope",
  params: z.object({ service: z.string().optional(), serviceName: z.string().optional() }),
  body: none,
  replies: { 200: json(ContainerId), 503: Failed },
  invalid: () => reply(503, failed("Could not find service with that name")),
});
