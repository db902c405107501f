import * as z from "zod";
import { empty, endpoint, json, none } from "../endpoint.ts";
import { Refused } from "./refused.ts";

const Named = z.record(z.string(), z.string());
const Definitions = z.record(z.string(), z.looseObject({}));
const Files = z
  .record(z.string(), z.looseObject({ content: z.string().optional(), base64: z.string().optional() }))
  .describe("With their contents; only Fairlead's cloud sends them");
const Compose = z.looseObject({});

const Service = z.object({
  id: z.int(),
  image_id: z.int(),
  image: z.string(),
  environment: Named.describe("Wins over the environment of `composition`"),
  labels: Named.describe("Win over the labels of `composition`"),
  contract: z.looseObject({}).optional(),
  composition: Compose.optional().describe("The service as the compose file has it"),
});

const App = z.object({
  id: z.int(),
  name: z.string(),
  is_host: z.boolean(),
  class: z.string(),
  releases: z
    .record(
      z.string(),
      z.object({
        id: z.int(),
        services: z.record(z.string(), Service).optional().describe("By name"),
        networks: Definitions.optional(),
        volumes: Definitions.optional(),
        configs: Files.optional(),
        secrets: Files.optional(),
      }),
    )
    .optional()
    .describe("By commit; absent: there is no target release"),
});

/** Version 3: by the uuid of the device, or of the fleet when the target state is that of a fleet. */
export const TargetStateV3 = z.record(
  z.string(),
  z.object({ name: z.string(), apps: z.record(z.string(), App).describe("By uuid"), config: Named }),
);
export type TargetStateV3 = z.output<typeof TargetStateV3>;

/** Version 2: environment and labels of a service are merged by the cloud. */
export const TargetStateV2 = z.object({
  local: z.object({
    name: z.string(),
    config: Named,
    apps: z
      .record(
        z.string(),
        z.object({
          releaseId: z.int().optional(),
          commit: z.string().optional(),
          name: z.string(),
          services: z
            .record(
              z.string(),
              z.looseObject({
                imageId: z.int(),
                serviceName: z.string(),
                image: z.string(),
                running: z.boolean(),
                environment: Named,
                labels: Named,
              }),
            )
            .describe("By service id"),
          networks: Definitions,
          volumes: Definitions,
          configs: Files.optional(),
          secrets: Files.optional(),
        }),
      )
      .describe("By id"),
  }),
  dependent: z.object({ apps: z.object({}), devices: z.object({}) }),
});
export type TargetStateV2 = z.output<typeof TargetStateV2>;

/** A header of the target state; with any value, the cloud accepts derived keys of services. */
export const derivesServiceKeys = "fairlead-service-keys";

/** A header of the target state, also of a 304; with any value, the cloud accepts `problems` in state reports. */
export const takesProblems = "fairlead-problems";

/** A header of a target state in which the values of variables are hidden: no device may apply it. */
export const hidesValues = "fairlead-hidden-values";

const refusals = { 304: empty, 401: empty, 413: Refused };

/** With an entity tag. 304 without one: the device does not exist (any more). */
export const deviceState = endpoint({
  method: "GET",
  path: "/device/v3/:uuid/state",
  summary: "The target state of a device",
  params: z.object({ uuid: z.string() }),
  body: none,
  replies: { 200: json(TargetStateV3), ...refusals },
});

export const deviceStateV2 = endpoint({
  method: "GET",
  path: "/device/v2/:uuid/state",
  summary: "The target state of a device, for older agents",
  params: z.object({ uuid: z.string() }),
  body: none,
  replies: { 200: json(TargetStateV2), ...refusals },
});

export const fleetState = endpoint({
  method: "GET",
  path: "/device/v3/fleet/:fleetUuid/state",
  summary: "The target state that the devices of a fleet have in common",
  params: z.object({ fleetUuid: z.string(), releaseUuid: z.string().optional() }),
  body: none,
  replies: { 200: json(TargetStateV3), ...refusals },
});
