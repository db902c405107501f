import * as z from "zod";
import type { Endpoint, Replies } from "../../core/api/endpoint.ts";
import { common, commonRefusals } from "../../core/api/fields.ts";
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

interface Operation {
  readonly method: string;
  readonly path: string;
}
type Described = Pick<Endpoint<unknown, unknown, Replies>, "method" | "path" | "replies">;

/**
 * A check of answers for the client: throws `SettingsError` for one that the operation does not declare. It comes from
 * another program, or from another version.
 */
export function checkAgainst(endpoints: Readonly<Record<string, Described>>) {
  const key = ({ method, path }: Operation) => `${method} ${path}`;
  const declared = new Map(Object.values(endpoints).map((endpoint) => [key(endpoint), endpoint.replies] as const));
  return (operation: Operation, answer: AnyReply): void => {
    const forms = [declared.get(key(operation)) ?? {}, common, commonRefusals];
    if (forms.some((replies: Replies) => fits(replies[answer.status], answer.body))) return;
    // A successful reply may hold keys and variables.
    const said = answer.status < 300 ? "" : `: ${JSON.stringify(answer.body)}`;
    throw new SettingsError(
      `${key(operation)} answered ${answer.status} in a form that this version does not know${said}. Is the address that of an agent, or of a cloud of Fairlead?`,
    );
  };
}

function fits(wire: Replies[number] | undefined, body: unknown): boolean {
  if (wire?.streamType !== undefined && body instanceof ReadableStream) return true;
  switch (wire?.type) {
    case undefined:
      return false;
    case "empty":
      return body === undefined;
    case "stream":
      return body instanceof ReadableStream;
    case "json":
    case "text":
    case "mixed":
      return wire.schema?.safeParse(body).success ?? false;
  }
}
