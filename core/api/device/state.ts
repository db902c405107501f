import * as z from "zod";
import { endpoint, json, none } from "../endpoint.ts";
import { Failed, success } from "../fields.ts";

export const stateStatus = endpoint({
  method: "GET",
  path: "/v2/state/status",
  summary: "The containers and images of the first application, and whether the target state is reached",
  params: none,
  body: none,
  replies: {
    200: json(
      z.object({
        status: success,
        appState: z.enum(["applied", "applying"]),
        overallDownloadProgress: z.number().nullable(),
        containers: z.array(
          z.object({
            status: z.string(),
            serviceName: z.string(),
            appId: z.number(),
            imageId: z.number(),
            serviceId: z.number(),
            containerId: z.string(),
            createdAt: z.string(),
          }),
        ),
        images: z.array(
          z.object({
            name: z.string(),
            appId: z.number(),
            serviceName: z.string(),
            imageId: z.number(),
            dockerImageId: z.string().optional(),
            status: z.string(),
            downloadProgress: z.number().nullable(),
          }),
        ),
        release: z.string().optional(),
      }),
    ),
  },
});

export const version = endpoint({
  method: "GET",
  path: "/v2/version",
  summary: "The version of the supervisor whose API this is",
  params: none,
  body: none,
  replies: { 200: json(z.object({ status: success, version: z.string() })) },
});

export const cleanupVolumes = endpoint({
  method: "GET",
  path: "/v2/cleanup-volumes",
  writes: true,
  summary: "Remove the volumes, in the key's scope, that no application of the target state has",
  params: none,
  body: none,
  replies: { 200: json(z.object({ status: success })), 503: Failed },
});
