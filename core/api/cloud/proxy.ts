import * as z from "zod";
import { endpoint, json } from "../endpoint.ts";
import { Refused } from "./refused.ts";

/** Numbers, or strings of digits. */
const Id = (name: string) =>
  z
    .union(
      [
        z.int(),
        z
          .string()
          .regex(/^-?[0-9]+$/)
          .transform(Number),
      ],
      { error: `${name} must be a valid integer if specified` },
    )
    .nullish();

const ProxiedMethod = z
  .string()
  .toUpperCase()
  .pipe(
    z.enum(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], { error: ({ input }) => `Invalid method '${input}'` }),
  );

/** A request to the devices that match all of `uuid`, `deviceId` and `appId`. */
export const ProxiedRequest = z.object({
  uuid: z.string().min(1).nullish(),
  deviceId: Id("Device ID"),
  appId: Id("App ID"),
  method: ProxiedMethod.default("POST"),
  expires: z
    .int()
    .min(1)
    .max(7 * 24 * 60 * 60)
    .default(24 * 60 * 60)
    .describe("With `Prefer: respond-async`: seconds for which the request waits for a device that is offline"),
  data: z.record(z.string(), z.unknown()).optional().describe("The body; of GET and HEAD, the query"),
});
export type ProxiedRequest = z.output<typeof ProxiedRequest>;

/** What one of several devices answered. */
export const ProxiedAnswer = z.object({
  statusCode: z.int(),
  body: z.unknown().describe("Text, unless the request had `data`: then parsed as JSON"),
  uuid: z.string(),
  deviceId: z.int(),
});
export type ProxiedAnswer = z.output<typeof ProxiedAnswer>;

/** One device: its own answer, whatever its status. Several: 207. */
export const supervisorProxy = endpoint({
  method: "POST",
  path: "/supervisor/:path",
  summary: "Send a request to the Supervisor API of one device or several; `path` may have slashes",
  params: z.object({
    path: z.string(),
    "idempotency-key": z.string().optional().describe("Passed on: the device acts once for each key"),
    prefer: z
      .string()
      .optional()
      .describe(
        "wait=<seconds>: for how long to wait. respond-async: queue the request if the one device is offline, or does not answer in this time",
      ),
  }),
  headers: ["idempotency-key", "prefer"],
  body: ProxiedRequest,
  replies: {
    202: json(z.object({ id: z.string(), state: z.string(), expiresAt: z.iso.datetime() })),
    207: json(z.array(ProxiedAnswer)),
    400: Refused,
    401: Refused,
    404: Refused,
    413: Refused,
    502: Refused,
    504: Refused,
  },
});
