import * as z from "zod";
import type { ExecFrame as Frame } from "../../model/exec-frame.ts";
import { empty, endpoint, json, none, stream } from "../endpoint.ts";
import { AppIdV2, orEmpty } from "../fields.ts";
import { refusal, refuse } from "../refusal.ts";

/** Refuses keys of applications, and requests of the cloud for somebody without the permission. */
const refused = () =>
  refuse("no-shell", "Only the device's global key, or a token with the permission shell, runs programs");
const opened = { is: "opened", refused } as const;
const used = { is: "used", refused } as const;

const Text = z.string().regex(/^[^\0]*$/, { error: "expected a text without the character 0" });
const Size = z.int().min(1).max(10_000);

export const startExec = endpoint({
  method: "POST",
  path: "/v3/apps/:appId/services/:service/exec",
  summary: "Run a program in the container of a service, a shell if no other is named, as a session",
  shell: opened,
  params: z.object({ appId: AppIdV2, service: z.string() }),
  // A field that is misspelt must not run a shell.
  body: orEmpty(
    z.strictObject({
      command: z
        .array(Text)
        .min(1)
        .optional()
        .describe("The program and its arguments; absent: /bin/bash, or else /bin/sh"),
      tty: z.boolean().default(false).describe("With a terminal; then there is no standard error apart"),
      columns: Size.default(80),
      rows: Size.default(24),
      environment: z
        .record(z.string().regex(/^[^=\0]+$/, { error: "expected names without = and the character 0" }), Text)
        .default({}),
      user: Text.min(1).optional().describe("Absent: the container's"),
      workdir: Text.min(1).optional().describe("Absent: the container's"),
    }),
  ),
  replies: {
    201: json(z.object({ id: z.string(), expiresAt: z.iso.datetime() })),
    400: refusal("invalid-request"),
    401: refusal("no-shell"),
    403: refusal("exec-off"),
    404: refusal("unknown-service"),
    409: refusal("not-running"),
    503: refusal("busy"),
  },
});

const params = z.object({ sessionId: z.string() });
const replies = {
  400: refusal("invalid-request"),
  401: refusal("no-shell"),
  404: refusal("unknown-session"),
} as const;

/** A line of the output. Bytes are in base64. */
export type ExecFrame = Frame;
export const ExecFrame: z.ZodType<Frame> = z.union([
  z.object({ stdout: z.base64() }),
  z.object({ stderr: z.base64() }),
  z
    .object({ exitCode: z.int().nullable(), reason: z.string().optional() })
    .describe("The last line; null: the program was cut off, for this reason"),
]);

export const execOutput = endpoint({
  method: "GET",
  path: "/v3/exec/:sessionId/output",
  summary: "What the program of a session writes, one JSON object per line; the last one has the exit code",
  shell: used,
  params,
  body: none,
  replies: { ...replies, 200: stream("application/x-ndjson", ExecFrame) },
});

export const execInput = endpoint({
  method: "POST",
  repeats: true,
  path: "/v3/exec/:sessionId/input",
  summary: "Type into a session, up to 45,000 bytes at once",
  shell: used,
  params,
  body: z.strictObject({
    data: z.base64({ error: "expected base64" }).default(""),
    end: z.boolean().default(false).describe("Then end the input"),
    sequence: z
      .int()
      .min(1)
      .optional()
      .describe("1, 2, 3 and so on: what is sent again with the same number is not typed again"),
  }),
  replies: { ...replies, 204: empty, 409: refusal("out-of-sequence"), 503: refusal("busy") },
});

export const resizeExec = endpoint({
  method: "POST",
  repeats: true,
  path: "/v3/exec/:sessionId/resize",
  summary: "Give the terminal of a session another size",
  shell: used,
  params,
  body: z.strictObject({ columns: Size, rows: Size }),
  replies: { ...replies, 204: empty, 409: refusal("no-terminal") },
});

export const endExec = endpoint({
  method: "DELETE",
  path: "/v3/exec/:sessionId",
  summary: "End a session: its program gets SIGHUP",
  shell: used,
  params,
  body: none,
  replies: { ...replies, 204: empty },
});
