import * as z from "zod";
import { gateKinds } from "../../model/update.ts";
import { empty, endpoint, json, none } from "../endpoint.ts";
import { AppIdV2, orEmpty, outsideScope } from "../fields.ts";
import { refusal, refuse } from "../refusal.ts";

const Release = z.object({ commit: z.string() });
const Line = z
  .string()
  .trim()
  .min(1)
  .max(200)
  .regex(/^\P{Cc}*$/u, "expected a single line");
const Commit = z.string().optional().describe("Absent: whatever release it is");

const updateStates = [
  /** The committed release is the target, or the application is being installed for the first time. */
  "steady",
  "preparing",
  "waiting",
  "trying",
  "paused",
  "goingBack",
  "rejected",
] as const;

const Update = z.object({
  state: z.enum(updateStates),
  committed: Release.nullable().describe(
    "The last release that has proved itself. null: none, or the device is in local mode",
  ),
  target: Release.nullable().describe("null: the target state does not contain the application"),
  waitsFor: z.array(z.string()).describe("What holds it up, beside the gates"),
  gates: z
    .array(
      z.object({
        service: z.string(),
        gate: z.enum(gateKinds),
        is: z.enum(["open", "closed", "failed"]),
        detail: z.string().optional(),
      }),
    )
    .describe("What the services must show, while the update is tried"),
  attempts: z.int().describe("How often the agent has begun or resumed the update"),
  disk: z
    .object({ need: z.number(), free: z.number(), reserve: z.number() })
    .optional()
    .describe("Bytes: what the downloads that are due need at most, and what is kept in reserve. Absent: none is due"),
  failure: z
    .object({
      commit: z.string(),
      service: z.string().optional(),
      message: z.string(),
      lines: z.array(z.string()).describe("The last lines of the service's log"),
      at: z.iso.datetime().optional(),
    })
    .optional()
    .describe("Why an update is paused, is going back, or was rejected"),
});

const ofApp = {
  params: z.object({ appId: AppIdV2 }),
  scope: {
    apps: ({ params }: { readonly params: { readonly appId: number } }) => [params.appId],
    refused: outsideScope,
  },
} as const;

const refusals = {
  400: refusal("invalid-request"),
  401: refusal("outside-scope"),
  404: refusal("unknown-application"),
} as const;

const person = {
  refused: () => refuse("person-only", "A person decides this, with the device's global key: no service may"),
};

export const updateState = endpoint({
  ...ofApp,
  method: "GET",
  path: "/v3/apps/:appId/update",
  summary: "Where the update of the application stands, what it waits for, and why it has failed",
  body: none,
  replies: { 200: json(Update), ...refusals },
});

export const confirmUpdate = endpoint({
  ...ofApp,
  method: "POST",
  path: "/v3/apps/:appId/update/confirm",
  summary: "Confirm that the new release works. A service confirms for itself; a person also accepts a paused update",
  body: orEmpty(
    z.object({
      service: z.string().optional().describe("With the global key. Absent: all services"),
      commit: Commit,
    }),
  ),
  replies: { 204: empty, ...refusals, 409: refusal("update-state") },
});

export const failUpdate = endpoint({
  ...ofApp,
  method: "POST",
  path: "/v3/apps/:appId/update/fail",
  summary: "Say that the new release does not work: its update fails at once",
  body: z.object({
    service: z.string().optional().describe("With the global key"),
    reason: Line.describe("It is shown to people"),
  }),
  replies: { 202: empty, ...refusals, 409: refusal("update-state") },
});

const decision = {
  ...ofApp,
  method: "POST",
  person,
  replies: {
    202: empty,
    ...refusals,
    401: refusal("outside-scope", "person-only"),
    409: refusal("update-state"),
  },
} as const;

export const applyUpdate = endpoint({
  ...decision,
  path: "/v3/apps/:appId/update/apply",
  summary: "Consent to an update that waits for it",
  body: orEmpty(z.object({ commit: Commit })),
});

export const retryUpdate = endpoint({
  ...decision,
  path: "/v3/apps/:appId/update/retry",
  summary: "Try a release again that has failed",
  body: none,
});

export const rollBackUpdate = endpoint({
  ...decision,
  path: "/v3/apps/:appId/update/rollback",
  summary: "Go back to the committed release, while the update is tried or paused",
  body: orEmpty(z.object({ reason: Line.optional().describe("It is shown to people") })),
});
