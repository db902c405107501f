import type { Endpoint, Nothing, ReplyOf, SentOf } from "../api/endpoint.ts";
import type { common, commonRefusals } from "../api/fields.ts";
import type { RunningOperation } from "../api/once.ts";
import type { Answer, Sent, Wire } from "./transport.ts";

/** Operations as methods, typed from the endpoints that the servers answer with. */

/** Replies of every endpoint besides its own. */
type Common = ReplyOf<typeof common> | ReplyOf<typeof commonRefusals>;

type RepliesOf<E> = E extends Endpoint<infer _P, infer _B, infer R, infer _SP, infer _SB> ? ReplyOf<R> | Common : never;

type SuccessStatus = 200 | 201 | 202 | 204 | 206 | 207;
type SuccessOf<E> = Extract<RepliesOf<E>, { readonly status: SuccessStatus }>["body"];
type RefusalOf<E> = Exclude<RepliesOf<E>, { readonly status: SuccessStatus }>;

interface Options {
  /** Ends the request, and repetitions of it. */
  readonly signal?: AbortSignal;
}
type Arguments<E> =
  E extends Endpoint<infer _P, infer _B, infer _R, infer SP, infer SB>
    ? Nothing extends SentOf<SP, SB>
      ? [sent?: SentOf<SP, SB> & Options]
      : [sent: SentOf<SP, SB> & Options]
    : never;

/** One operation: `device.restart({ body: { appId: 1 } })`. */
export interface Operation<E> {
  /** Resolves with the body of the answer. Rejects with `Refusal` for an answer that is no success. */
  (...sent: Arguments<E>): Promise<SuccessOf<E>>;
  /** Resolves with the answer, whatever its status: a union that narrows by it. */
  reply(...sent: Arguments<E>): Promise<RepliesOf<E>>;
  /** Resolves once the device has begun: `operation` has the answer later. Rejects with `Refusal` if it has not. */
  begin(...sent: Arguments<E>): Promise<RunningOperation>;
  /** Whether an error is a refusal of this operation; its `reply` narrows by its status then. */
  refused(error: unknown): error is Refusal<RefusalOf<E>>;
}

export type Operations<Api> = { readonly [N in keyof Api]: Operation<Api[N]> };

/** The device or the cloud has answered, and not with a success. */
export class Refusal<R = Answer> extends Error {
  override readonly name = "Refusal";
  readonly operation: string;
  readonly reply: R;
  /** The sentence of the answer, without the operation and the status; empty if it has none. */
  readonly detail: string;

  constructor(operation: string, reply: R & Answer) {
    const detail = messageIn(reply.body);
    super(`${operation} was refused with ${reply.status}${detail === "" ? "" : `: ${detail}`}`);
    this.operation = operation;
    this.reply = reply;
    this.detail = detail;
  }
}

/** The sentence in a body, in each of the forms in which the APIs say why. */
function messageIn(body: unknown): string {
  if (typeof body === "string") return body;
  if (typeof body !== "object" || body === null) return "";
  const found = ["detail", "message", "error", "Error", "title"].flatMap((name) => {
    const value: unknown = Reflect.get(body, name);
    return typeof value === "string" && value !== "" ? [value] : [];
  });
  return found[0] ?? "";
}

/** The methods of an API, of which each request is sent with `send`. */
export function operationsOf<Api>(
  wires: Readonly<Record<keyof Api & string, Wire>>,
  send: (wire: Wire, sent: Sent) => Promise<Answer>,
): Operations<Api> {
  const made = Object.fromEntries(
    Object.entries<Wire>(wires).map(([name, wire]) => {
      const reply = (sent: Sent = {}) => send(wire, sent);
      const call = async (sent?: Sent) => {
        const answer = await reply(sent);
        if (answer.status < 300) return answer.body;
        throw new Refusal(name, answer);
      };
      const begin = async (sent?: Sent) => {
        const answer = await reply({ ...sent, prefer: "respond-async" });
        if (answer.status === 202 && isOperation(answer.body)) return answer.body;
        throw new Refusal(name, answer);
      };
      const refused = (error: unknown) => error instanceof Refusal && error.operation === name;
      return [name, Object.assign(call, { reply, begin, refused })];
    }),
  );
  if (!hasAll<Api>(made, wires)) throw new Error("An operation is missing");
  return made;
}

const isOperation = (body: unknown): body is RunningOperation =>
  typeof body === "object" && body !== null && "id" in body && "state" in body;

const hasAll = <Api>(made: object, wires: object): made is Operations<Api> =>
  Object.keys(wires).every((name) => name in made);
