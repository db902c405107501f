import * as z from "zod";
import { causes } from "../../model/event.ts";
import { endpoint, json, none } from "../endpoint.ts";
import { AppIdV2, outsideScope } from "../fields.ts";
import { refusal } from "../refusal.ts";

const what = z
  .enum([
    ...(["replaced", "handedOver", "created", "removed", "stopped", "started", "purged", "lockOverridden"] as const),
    ...(["updateBegun", "updateCommitted", "updateFailed", "updatePaused", "updateKept"] as const),
    ...(["updateRejected", "updateDecided"] as const),
  ])
  .describe("Of the service's container; `purged`: the application's volumes; `update…`: as in docs/events.md");

export const history = endpoint({
  method: "GET",
  path: "/v3/apps/:appId/history",
  summary:
    "What happened to the application, newest first: replaced containers, and what people did; as far as the journal of the last 1,000 events goes",
  params: z.object({
    appId: AppIdV2,
    limit: z.coerce.number().int().min(1).max(1000).default(50).describe("At most so many entries"),
  }),
  body: none,
  replies: {
    200: json(
      z.object({
        history: z.array(
          z.object({
            at: z.iso.datetime(),
            what,
            service: z.string().optional(),
            why: z.string(),
            differences: z.array(z.string()).describe("The names of the fields that differed"),
            by: z.enum([...causes, "force"]).optional(),
            release: z.string().optional().describe("The commit. Of a replaced container: the new one's"),
          }),
        ),
      }),
    ),
    400: refusal("invalid-request"),
    401: refusal("outside-scope"),
  },
  scope: {
    apps: ({ params }) => [params.appId],
    refused: outsideScope,
  },
});
