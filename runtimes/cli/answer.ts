import * as z from "zod";
import { SettingsError } from "../node/settings-error.ts";

/** The answers of a cloud or a device. */

export interface AnyReply {
  readonly status: number;
  readonly body?: unknown;
}

/** The body of an answer with this status. Throws `SettingsError` with the message of any other answer. */
export function bodyOf<R extends AnyReply, S extends R["status"]>(
  answer: R,
  status: S,
  who: string,
): Extract<R, { status: S }>["body"] {
  if (isOf(answer, status)) return answer.body;
  throw new SettingsError(`${who} refuses (${answer.status}): ${messageIn(answer.body)}`);
}

const isOf = <R extends AnyReply, S extends R["status"]>(answer: R, status: S): answer is Extract<R, { status: S }> =>
  answer.status === status;

/** The error of v3 and the administration, of the device ↔ cloud API, of v2, and of v1. */
const Refusal = z.union([
  z.string(),
  z.object({ detail: z.string() }).transform(({ detail }) => detail),
  z.object({ error: z.string() }).transform(({ error }) => error),
  z.object({ message: z.string() }).transform(({ message }) => message),
  z.object({ Error: z.string() }).transform(({ Error }) => Error),
]);

export const messageIn = (body: unknown): string => Refusal.safeParse(body).data ?? JSON.stringify(body) ?? "";
