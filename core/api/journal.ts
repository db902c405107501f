import * as z from "zod";
import { endpoint, none, reply, sentences, stream } from "./endpoint.ts";
import { AppId, Failed, Truthy, failed, fields } from "./fields.ts";

// An argument that begins with a dash would be an option to journalctl.
const Word = z
  .string()
  .regex(/^[^-]/, { error: "expected a text that does not begin with a dash" })
  .nullish()
  .transform((word) => word ?? undefined);

export const journalLogs = endpoint({
  method: "POST",
  path: "/v2/journal-logs",
  summary: "The journal of the host, as journalctl prints it",
  params: none,
  body: fields({
    all: Truthy,
    follow: Truthy,
    count: AppId.nullish().transform((count) => count ?? undefined),
    unit: Word,
    containerId: Word,
    format: Word,
    since: Word,
    until: Word,
  }),
  replies: { 200: stream("text/plain; charset=utf-8"), 400: Failed, 501: Failed },
  invalid: ({ faults }) => reply(400, failed(sentences(faults))),
});
