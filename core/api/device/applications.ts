import * as z from "zod";
import { endpoint, json, none, reply, text } from "../endpoint.ts";
import { AppId, AppIdV2, Failed, Force, Truthy, failed, fields } from "../fields.ts";

const unauthorized = () => reply(401, failed("Unauthorized"));

export const restart = endpoint({
  method: "POST",
  waits: true,
  path: "/v1/restart",
  summary: "Restart an application: its containers are made anew",
  params: none,
  body: fields({ appId: AppId, force: Truthy }),
  replies: { 200: text("OK"), 400: text("Missing app id"), 401: Failed, 423: Failed, 503: Failed },
  invalid: () => reply(400, "Missing app id"),
  scope: { apps: ({ body }) => [body.appId], refused: unauthorized },
});

export const purge = endpoint({
  method: "POST",
  waits: true,
  path: "/v1/purge",
  summary: "Remove an application's volumes and start it anew",
  params: none,
  body: fields({ appId: AppId, force: Truthy }),
  replies: {
    200: json(z.object({ Data: z.literal("OK"), Error: z.literal("") })),
    400: text("Invalid or missing appId"),
    401: Failed,
    423: Failed,
    503: Failed,
  },
  invalid: () => reply(400, "Invalid or missing appId"),
  scope: { apps: ({ body }) => [body.appId], refused: unauthorized },
});

export const application = endpoint({
  method: "GET",
  path: "/v1/apps/:appId",
  summary: "The container of an application that has only one",
  params: z.object({ appId: AppId }),
  body: none,
  replies: {
    200: json(
      z.object({
        appId: z.number(),
        commit: z.string(),
        containerId: z.string(),
        env: z.record(z.string(), z.string()),
        imageId: z.string(),
        releaseId: z.number(),
      }),
    ),
    400: text("Missing app id", "App not found", "Some v1 endpoints are only allowed on single-container apps"),
    401: Failed,
  },
  invalid: () => reply(400, "Missing app id"),
  scope: {
    apps: ({ params }) => [params.appId],
    refused: () => reply(401, failed("Application is not available")),
  },
});

const Progress = z.number().nullable();

export const applicationsState = endpoint({
  method: "GET",
  path: "/v2/applications/state",
  summary: "Every application in the key's scope and the status of its services, by name",
  params: none,
  body: none,
  replies: {
    200: json(
      z.record(
        z.string(),
        z.object({
          appId: z.number(),
          appUuid: z.string(),
          commit: z.string(),
          updateStatus: z.enum(["done", "downloading", "downloaded", "applying changes", "rejected", "aborted"]),
          services: z.record(
            z.string(),
            z.object({ status: z.string(), image: z.string(), downloadProgress: Progress, releaseId: z.number() }),
          ),
        }),
      ),
    ),
  },
});

const doesNotExist = (appId: number) => reply(409, failed(`Application ID does not exist: ${appId}`));

export const applicationState = endpoint({
  method: "GET",
  path: "/v2/applications/:appId/state",
  summary: "One application and the status of its services, by image id",
  params: z.object({ appId: AppIdV2 }),
  body: none,
  replies: {
    200: json(
      z.object({
        local: z.record(
          z.string(),
          z.object({
            services: z.record(
              z.string(),
              z.object({ status: z.string(), releaseId: z.number(), download_progress: Progress }),
            ),
          }),
        ),
        dependent: z.object({}),
        commit: z.string().optional(),
      }),
    ),
    400: Failed,
    409: Failed,
  },
  invalid: ({ params }) => reply(400, failed(`Invalid application ID: ${params["appId"] ?? ""}`)),
  scope: { apps: ({ params }) => [params.appId], refused: ({ params }) => doesNotExist(params.appId) },
});

const v2Action = {
  method: "POST",
  waits: true,
  params: z.object({ appId: AppIdV2 }),
  body: Force,
  replies: { 200: text("OK"), 400: Failed, 401: Failed, 423: Failed, 503: Failed },
  invalid: () => reply(400, failed("Missing app id")),
  scope: {
    apps: ({ params }: { readonly params: { readonly appId: number } }) => [params.appId],
    refused: unauthorized,
  },
} as const;

export const restartV2 = endpoint({
  ...v2Action,
  path: "/v2/applications/:appId/restart",
  summary: "Restart an application: its containers are made anew",
});

export const purgeV2 = endpoint({
  ...v2Action,
  path: "/v2/applications/:appId/purge",
  summary: "Remove an application's volumes and start it anew",
});
