import * as z from "zod";
import { endpoint, none, reply, sentences, stream } from "../endpoint.ts";
import { AppId, Failed, Truthy, deviceOnly, failed, fields } from "../fields.ts";

/** Treats null as absent. */
const optional = <T>(schema: z.ZodType<T>) => schema.nullish().transform((value) => value ?? undefined);

// journalctl would read an argument that begins with a dash as an option.
const Word = optional(z.string().regex(/^[^-]/, { error: "expected a text that does not begin with a dash" }));

// "-1h" means an hour ago (man journalctl(1), systemd.time(7)). No option of journalctl is a dash and a digit.
const Time = optional(
  z.string().regex(/^(-\d|[^-])/, { error: 'expected a time such as "2026-11-23 20:00", "-1h", "now"' }),
);

export const journalLogs = endpoint({
  method: "POST",
  repeats: true,
  path: "/v2/journal-logs",
  summary: "The journal of the host, as journalctl prints it",
  params: none,
  body: fields({
    all: Truthy,
    follow: Truthy,
    count: optional(AppId),
    unit: Word,
    containerId: Word,
    format: Word,
    since: Time,
    until: Time,
  }),
  replies: { 200: stream("text/plain; charset=utf-8"), 400: Failed, 401: Failed, 501: Failed },
  device: deviceOnly,
  invalid: ({ faults }) => reply(400, failed(sentences(faults))),
});
