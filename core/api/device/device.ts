import * as z from "zod";
import { empty, endpoint, json, none, reply, text } from "../endpoint.ts";
import { Failed, Force, Truthy, deviceOnly, failed, fields, orEmpty, success } from "../fields.ts";

export const blink = endpoint({
  method: "POST",
  path: "/v1/blink",
  summary: "Blink a LED for 15 seconds, to find the device",
  params: none,
  body: none,
  replies: { 200: empty, 401: Failed, 501: Failed },
  device: deviceOnly,
});

export const update = endpoint({
  method: "POST",
  path: "/v1/update",
  summary: "Look for a new target state now, and try again what has failed",
  params: none,
  body: fields({ force: Truthy, cancel: Truthy }),
  // 202: the request was accepted, but instant updates are disabled.
  replies: { 202: text("Accepted"), 204: empty, 401: Failed },
  device: deviceOnly,
});

const Outcome = json(z.object({ Data: z.string(), Error: z.string() }));
const outcome = (message: string) => ({ Data: "", Error: message });

const power = {
  replies: { 202: Outcome, 401: Outcome, 423: Outcome, 500: Outcome, 501: Outcome },
  device: { refused: () => reply(401, outcome("Unauthorized")) },
  failed: (message: string) => reply(500, outcome(message)),
};

export const reboot = endpoint({
  method: "POST",
  path: "/v1/reboot",
  summary: "Stop the applications and reboot, unless an update lock is held",
  params: none,
  body: Force,
  ...power,
});

export const shutdown = endpoint({
  method: "POST",
  path: "/v1/shutdown",
  summary: "Stop the applications and switch the device off, unless an update lock is held",
  params: none,
  body: Force,
  ...power,
});

export const device = endpoint({
  method: "GET",
  path: "/v1/device",
  summary: "The state of the device and of its first application",
  params: none,
  body: none,
  replies: {
    200: json(
      z.object({
        api_port: z.number(),
        ip_address: z.string(),
        os_version: z.string(),
        mac_address: z.string(),
        supervisor_version: z.string(),
        update_pending: z.boolean(),
        update_failed: z.boolean(),
        update_downloaded: z.boolean(),
        commit: z.string().optional(),
        status: z.string().optional(),
        download_progress: z.number().nullable().optional(),
      }),
    ),
  },
});

export const deviceName = endpoint({
  method: "GET",
  path: "/v2/device/name",
  summary: "The name that the target state gives the device",
  params: none,
  body: none,
  replies: { 200: json(z.object({ status: success, deviceName: z.string() })) },
});

export const vpn = endpoint({
  method: "GET",
  path: "/v2/device/vpn",
  summary: "Whether the connection to the cloud is wanted, and whether it is up",
  params: none,
  body: none,
  replies: {
    200: json(z.object({ status: success, vpn: z.object({ enabled: z.boolean(), connected: z.boolean() }) })),
  },
});

export const tags = endpoint({
  method: "GET",
  path: "/v2/device/tags",
  summary: "The tags of the device",
  params: none,
  body: none,
  replies: {
    200: json(
      z.object({ status: success, tags: z.array(z.object({ id: z.number(), name: z.string(), value: z.string() })) }),
    ),
    401: Failed,
  },
  device: deviceOnly,
});

export const setTags = endpoint({
  method: "PATCH",
  path: "/v2/device/tags",
  summary: "Set some tags of the device; the others stay",
  params: none,
  body: orEmpty(
    z.record(
      z.string().regex(/^\S*$/, { error: "Tag keys cannot contain whitespace" }),
      z.string({ error: "Invalid tags body, must be an object like `{[tagKey: string]: string}`" }),
      { error: "Invalid tags body, must be an object like `{[tagKey: string]: string}`" },
    ),
  ),
  replies: { 202: json(z.object({ status: success })), 400: Failed, 401: Failed },
  device: deviceOnly,
  invalid: ({ faults }) => reply(400, failed(faults[0]?.message ?? "")),
});
