import * as z from "zod";
import { eventKinds, eventLevels } from "../../model/event.ts";
import { endpoint, json, jsonOrStream, none } from "../endpoint.ts";
import { AppId, outsideScope } from "../fields.ts";
import { refusal } from "../refusal.ts";

export const ShownEvent = z.object({
  id: z.int().describe("Rises with each event of the device, also across restarts"),
  at: z.iso.datetime(),
  kind: z.string().describe("As in docs/events.md"),
  level: z.enum(eventLevels),
  app: z.int().optional(),
  service: z.string().optional(),
  release: z.string().optional().describe("The commit"),
  text: z.string().describe("The event as a sentence"),
  why: z.array(z.string()).describe("Reasons. Of what differs the names, never the values"),
  by: z.string().optional().describe("Who asked for it; or else the cause, such as release or exit"),
});

const Gap = z
  .object({ after: z.int(), before: z.int() })
  .describe("Events between these ids are lost. `before` is the smaller one if the ids of the device began anew");

const Id = z.coerce.number({ error: "expected the id of an event" }).int().nonnegative();

const kindNames: ReadonlySet<string> = new Set(Object.keys(eventKinds));

/** Names, separated by commas. */
export const Kinds = z
  .string()
  .transform((text) => text.split(",").filter((name) => name !== ""))
  .superRefine((names, context) => {
    const unknown = names.filter((name) => !kindNames.has(name));
    if (unknown.length > 0)
      context.addIssue({
        code: "custom",
        message: `expected kinds of events as in docs/events.md, separated by commas, but got ${unknown.join(", ")}`,
      });
  })
  .optional()
  .describe("Only these kinds, separated by commas");

export const After = z
  .union([z.enum(["latest"]), Id], { error: 'expected the id of an event, or "latest"' })
  .optional();

const afterWords =
  "Events after this id; latest: those that come; absent: from the oldest one on that the device keeps";

/** A relayed request is answered within 50 s. */
const longestWait = 45;

export const events = endpoint({
  method: "GET",
  path: "/v3/events",
  summary:
    "What has happened to the applications in the key's scope, oldest first, of the last 1,000 events; with Accept: text/event-stream as a stream that goes on. Without keys of services, also what concerns the device",
  params: z.object({
    after: After.describe(afterWords),
    kinds: Kinds,
    app: AppId.optional(),
    limit: z.coerce.number().int().min(1).max(1000).default(1000).describe("At most so many events; not of a stream"),
    wait: z.coerce
      .number()
      .min(0)
      .max(longestWait)
      .default(0)
      .describe("Seconds to wait for an event if there is none; not of a stream"),
    accept: z.string().optional(),
    "last-event-id": Id.optional().catch(undefined).describe("As `after`, which it precedes: browsers send it"),
  }),
  headers: ["accept", "last-event-id"],
  body: none,
  replies: {
    200: jsonOrStream(
      json(
        z.object({
          events: z.array(ShownEvent),
          last: z.int().describe("The `after` of the next request"),
          gaps: z.array(Gap),
        }),
      ),
      "text/event-stream",
    ),
    400: refusal("invalid-request"),
    401: refusal("outside-scope"),
    503: refusal("busy"),
  },
  scope: {
    apps: ({ params: { app } }) => (app === undefined ? [] : [app]),
    refused: outsideScope,
  },
});
