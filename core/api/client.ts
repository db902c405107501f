import { fillPath } from "./path.ts";
import { none, type Endpoint, type Nothing, type Replies, type ReplyOf, type SentOf } from "./endpoint.ts";
import { common, commonRefusals } from "./fields.ts";

/** Replies of every endpoint besides its own. */
type Common = ReplyOf<typeof common> | ReplyOf<typeof commonRefusals>;

interface Answer {
  readonly status: number;
  readonly body?: unknown;
}

interface ClientOptions {
  /** The device's address: "http://10.0.0.7:48484". */
  readonly base: string;
  /** The global one, a supervisor's own, or a tunnel's. */
  readonly fetch: (request: Request) => Promise<Response>;
  /** A key: `{ authorization: "Bearer …" }`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Typed calls: `call(endpoints.restart, { body: { appId: 1 } })` resolves with a reply that narrows by its status.
 * Throws when the answer is none that the endpoint declares.
 */
export const createClient =
  ({ base, fetch, headers = {} }: ClientOptions) =>
  async <P, B, R extends Replies, SentP, SentB>(
    endpoint: Endpoint<P, B, R, SentP, SentB>,
    ...[sent]: Nothing extends SentOf<SentP, SentB> ? [sent?: SentOf<SentP, SentB>] : [sent: SentOf<SentP, SentB>]
  ): Promise<ReplyOf<R> | Common> => {
    const { method, path, replies } = endpoint;
    const { params, body }: { readonly params?: unknown; readonly body?: unknown } = sent ?? {};
    const named = Object.entries(params ?? {});
    const isHeader = ([name]: [string, unknown]) => endpoint.headers?.includes(name) === true;
    const carries = endpoint.body !== none && body !== undefined;
    const response = await fetch(
      new Request(new URL(fillPath(path, Object.fromEntries(named.filter((one) => !isHeader(one)))), base), {
        method,
        headers: {
          ...headers,
          ...Object.fromEntries(named.filter(isHeader)),
          ...(carries && { "content-type": "application/json" }),
        },
        ...(carries && { body: JSON.stringify(body) }),
      }),
    );
    const answer: Answer = { status: response.status, body: await bodyOf(response, replies) };
    if (isReply(replies, answer) || isReply(common, answer) || isReply(commonRefusals, answer)) return answer;
    // A successful reply may hold keys and variables.
    const said = response.ok ? "" : `: ${JSON.stringify(answer.body)}`;
    throw new Error(`${method} ${path} answered ${response.status}, which it does not declare${said}`);
  };

async function bodyOf(response: Response, replies: Replies): Promise<unknown> {
  const type = response.headers.get("content-type");
  const wire = replies[response.status];
  if (wire?.type === "stream" || (wire?.streamType !== undefined && type === wire.streamType)) return response.body;
  if (type === null) return undefined;
  return /^application\/(problem\+)?json/.test(type) ? response.json() : response.text();
}

function isReply<R extends Replies>(replies: R, answer: Answer | ReplyOf<R>): answer is ReplyOf<R> {
  const wire = replies[answer.status];
  if (wire?.streamType !== undefined && answer.body instanceof ReadableStream) return true;
  switch (wire?.type) {
    case undefined:
      return false;
    case "empty":
      return answer.body === undefined;
    case "stream":
      return answer.body instanceof ReadableStream;
    case "json":
    case "text":
    case "mixed":
      return wire.schema?.safeParse(answer.body).success ?? false;
  }
}
