import * as z from "zod";
import { endpoint, json, none, reply, stream, type Invalid } from "../endpoint.ts";
import { Failed, deviceOnly, failed, success } from "../fields.ts";

export const targetState = endpoint({
  method: "GET",
  path: "/v2/local/target-state",
  summary: "The target state, in the form in which it can be set",
  params: none,
  body: none,
  replies: {
    200: json(
      z.object({
        status: success,
        state: z.object({
          local: z.object({ name: z.string(), config: z.record(z.string(), z.string()), apps: z.looseObject({}) }),
          dependent: z.object({ apps: z.array(z.never()), devices: z.array(z.never()) }),
        }),
      }),
    ),
    401: Failed,
  },
  device: deviceOnly,
});

/** A target state as a body: its form is parsed by the handler, which names every fault. */
export const targetBody = {
  // `curl -d '{…}'` without a Content-Type sends a form, whose only field is the JSON.
  body: z.looseObject({}).refine((body) => !Object.keys(body).some((key) => key.trimStart().startsWith("{"))),
  bodyLimitBytes: 10 * 1024 * 1024,
};

export function invalidTarget({ contentType }: Invalid): string {
  const got = contentType === "application/json" ? "a list" : contentType;
  const must = 'a JSON object { "local": { "apps": { … } } } with Content-Type application/json';
  return `Invalid target state.\nexpected ${must}, but got ${got}`;
}

export const setTargetState = endpoint({
  ...targetBody,
  invalid: (what) => reply(400, failed(invalidTarget(what))),
  method: "POST",
  path: "/v2/local/target-state",
  summary: "Set the target state; it is applied after the answer",
  params: none,
  replies: {
    200: json(z.object({ status: success, message: z.literal("OK"), warnings: z.array(z.string()).optional() })),
    400: Failed,
    401: Failed,
  },
  device: deviceOnly,
});

export const deviceInfo = endpoint({
  method: "GET",
  path: "/v2/local/device-info",
  summary: "The architecture and the type of the device",
  params: none,
  body: none,
  replies: {
    200: json(z.object({ status: success, info: z.object({ arch: z.string(), deviceType: z.string() }) })),
  },
});

export const logs = endpoint({
  method: "GET",
  path: "/v2/local/logs",
  summary: "What the services write and what the agent does, one JSON object per line, until the caller leaves",
  params: none,
  body: none,
  replies: { 200: stream("application/x-ndjson"), 401: Failed, 503: Failed },
  device: deviceOnly,
});
