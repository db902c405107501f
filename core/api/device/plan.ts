import * as z from "zod";
import { endpoint, json, none } from "../endpoint.ts";
import { AppIdV2, outsideScope } from "../fields.ts";
import { refusal, refuse } from "../refusal.ts";
import { invalidTarget, targetBody } from "./local-mode.ts";

const change = {
  why: z.string(),
  differences: z
    .array(z.object({ field: z.string(), from: z.string().optional(), to: z.string().optional() }))
    .describe("As in compose. Without values where these may be secrets, such as those of `environment` and `labels`"),
};

const Part = z.object({ name: z.string(), action: z.enum(["keep", "replace", "create", "remove"]), ...change });

const Plan = z.object({
  services: z.array(
    z.object({
      service: z.string(),
      action: z
        .enum(["keep", "replace", "handOver", "create", "remove"])
        .describe("Of the container. `handOver`: the new one starts beside the old one"),
      ...change,
      downloadBytes: z
        .number()
        .nullable()
        .describe("0: the image is on the device. null: not known; services are not told"),
    }),
  ),
  networks: z.array(Part).describe("With their names in the composition"),
  volumes: z.array(Part).describe("With their names in the composition. The update removes no volume"),
  waitsFor: z.array(z.string()).describe("What holds the update up"),
});

const planned = {
  params: z.object({ appId: AppIdV2 }),
  replies: {
    200: json(Plan),
    400: refusal("invalid-request"),
    401: refusal("outside-scope"),
    404: refusal("unknown-application"),
  },
  scope: {
    apps: ({ params }: { readonly params: { readonly appId: number } }) => [params.appId],
    refused: outsideScope,
  },
} as const;

export const plan = endpoint({
  ...planned,
  method: "GET",
  path: "/v3/apps/:appId/plan",
  summary: "What the next update of the application changes, and what holds it up; nothing is changed by asking",
  body: none,
});

export const planTarget = endpoint({
  ...planned,
  ...targetBody,
  method: "POST",
  repeats: true,
  path: "/v3/apps/:appId/plan",
  summary: "What an update of the application to this target state would change; nothing is changed by asking",
  invalid: (what) => {
    const wrongId = what.faults.find(({ path }) => path === "appId");
    return wrongId
      ? refuse("invalid-request", `appId: ${wrongId.message}`, [wrongId])
      : refuse("invalid-request", invalidTarget(what));
  },
});
