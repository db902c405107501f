import * as z from "zod";
import { endpoint, json } from "../endpoint.ts";
import { refusal, refuse } from "../refusal.ts";

export const composeTarget = endpoint({
  method: "POST",
  repeats: true,
  path: "/v3/target/compose",
  summary:
    "The target state that a compose file becomes, with the other applications of the device; nothing is changed by asking. Nothing is built, and no other file or variable is read. Refused with each fault by its path in the file",
  params: z.object({}),
  body: z.object({
    compose: z.string().describe("The compose file as YAML"),
    project: z
      .string()
      .optional()
      .describe("The name of the application, of which its id is made. Absent: `name` of the file, else app"),
  }),
  replies: {
    200: json(
      z.object({
        project: z.string(),
        appId: z.int(),
        target: z
          .object({
            local: z.object({
              name: z.string().optional(),
              config: z.record(z.string(), z.string()).optional(),
              apps: z.record(z.string(), z.unknown()),
            }),
          })
          .describe("The body for POST /v2/local/target-state, and for POST /v3/apps/:appId/plan"),
        warnings: z.array(z.string()).describe("Parts of the file that devices leave out"),
      }),
    ),
    400: refusal("invalid-request"),
    401: refusal("outside-scope"),
  },
  device: { refused: () => refuse("outside-scope", "The target state of the device is not for the key of a service") },
});
