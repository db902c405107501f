import * as z from "zod";
import { empty, endpoint, json, none } from "../endpoint.ts";
import { RunningOperation } from "../once.ts";
import { refusal } from "../refusal.ts";

/** A relayed request is answered within 50 s. */
const longestWait = 45;

const params = z.object({ id: z.string() });

export const operations = endpoint({
  method: "GET",
  path: "/v3/operations",
  summary: "Operations that this key has begun with Prefer: respond-async, of the last 100, the newest first",
  params: none,
  body: none,
  replies: { 200: json(z.object({ operations: z.array(RunningOperation) })) },
});

export const operation = endpoint({
  method: "GET",
  path: "/v3/operations/:id",
  summary: "An operation that this key has begun, and its answer once it has ended",
  params: params.extend({
    wait: z.coerce.number().min(0).max(longestWait).default(0).describe("Seconds to wait for its end"),
  }),
  body: none,
  replies: { 200: json(RunningOperation), 400: refusal("invalid-request"), 404: refusal("unknown-operation") },
});

export const cancelOperation = endpoint({
  method: "DELETE",
  path: "/v3/operations/:id",
  summary: "Cancel an operation that waits for its turn. One that has begun to act is not undone",
  params,
  body: none,
  replies: {
    204: empty,
    404: refusal("unknown-operation"),
    409: refusal("operation-ended", "already-acting"),
  },
});
