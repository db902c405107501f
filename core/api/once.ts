import * as z from "zod";
import { actsOnce, json, mayRespondAsync, type Endpoint, type Replies } from "./endpoint.ts";
import { refusal } from "./refusal.ts";

/** An operation whose caller does not wait for its answer. */
export const RunningOperation = z.object({
  id: z.string(),
  request: z.string().describe("Method and path of its endpoint"),
  state: z
    .enum(["running", "done", "failed", "cancelled"])
    .describe("done: its answer is a success. cancelled: it has not acted"),
  cancellable: z.boolean().describe("It waits for its turn, and has not acted yet"),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime().optional(),
  answer: z
    .object({ status: z.int(), contentType: z.string().optional(), body: z.unknown().optional() })
    .optional()
    .describe("What the request would have been answered; JSON as a value, all else as a text"),
  why: z.string().optional().describe("Why there is no answer, or no body"),
});
export type RunningOperation = z.output<typeof RunningOperation>;

type Described = Pick<Endpoint<unknown, unknown, Replies>, "method" | "repeats" | "secretAnswer"> & {
  readonly shell?: unknown;
};

/** Answered instead of doing what was asked for a second time. */
export const onceReplies = {
  409: refusal("may-have-acted", "answer-not-kept"),
  422: refusal("key-reused"),
} as const;

/** The answer to `Prefer: respond-async`. */
export const asyncReplies = { 202: json(RunningOperation) } as const;

/** Replies of a device's endpoint to requests with these headers. */
export const repliesToHeaders = (endpoint: Described): Replies => ({
  ...(actsOnce(endpoint) && onceReplies),
  ...(mayRespondAsync(endpoint) && asyncReplies),
});

/** Request headers of endpoints, for their descriptions. */
export const headersOf = (
  endpoint: Described,
  { isAsync }: { readonly isAsync: boolean },
): Readonly<Record<string, string>> => ({
  ...(actsOnce(endpoint) && {
    "Idempotency-Key":
      "A text of 1 to 128 characters, new for each request: a repetition with the same key gets the first answer, and does nothing",
  }),
  ...(isAsync &&
    mayRespondAsync(endpoint) && {
      Prefer:
        "respond-async: answer 202 at once, with the Location of the operation; wait=<seconds>: only after this time",
    }),
});
