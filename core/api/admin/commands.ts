import * as z from "zod";
import { empty, endpoint, json, none } from "../endpoint.ts";
import { refusal } from "../refusal.ts";
import { refusals, When } from "./fields.ts";

export const Command = z.object({
  id: z.string(),
  request: z.string().describe("Method and path of the device's endpoint"),
  state: z
    .enum(["queued", "sent", "done", "failed", "expired", "cancelled"])
    .describe("sent: there is no answer yet. done: its answer is a success"),
  createdAt: When,
  expiresAt: When,
  endedAt: When.optional(),
  answer: z
    .object({ status: z.int(), contentType: z.string().optional(), body: z.unknown().optional() })
    .optional()
    .describe("The device's answer; JSON as a value, all else as a text"),
  why: z.string().optional().describe("Why there is no answer, or no body"),
});
export type Command = z.output<typeof Command>;

const ofDevice = z.object({ uuid: z.string() });
const ofCommand = ofDevice.extend({ commandId: z.string() });

export const commands = endpoint({
  method: "GET",
  path: "/admin/v1/devices/:uuid/commands",
  summary: "Commands that this token has queued for a device, of the last 24 hours, the newest first",
  params: ofDevice,
  body: none,
  replies: { 200: json(z.array(Command)), ...refusals, 404: refusal("unknown-device") },
});

export const command = endpoint({
  method: "GET",
  path: "/admin/v1/devices/:uuid/commands/:commandId",
  summary: "A command that this token has queued, and the device's answer once there is one",
  params: ofCommand.extend({
    wait: z.coerce.number().min(0).max(45).default(0).describe("Seconds to wait for its end"),
  }),
  body: none,
  replies: { 200: json(Command), ...refusals, 404: refusal("unknown-device", "unknown-command") },
});

export const cancelCommand = endpoint({
  method: "DELETE",
  path: "/admin/v1/devices/:uuid/commands/:commandId",
  summary: "Cancel a command that was not sent to the device yet",
  params: ofCommand,
  body: none,
  replies: {
    204: empty,
    ...refusals,
    404: refusal("unknown-device", "unknown-command"),
    409: refusal("operation-ended", "already-acting"),
  },
});
