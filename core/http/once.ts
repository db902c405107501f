import type { Surface } from "./route.ts";
import { refuse } from "../api/refusal.ts";
import { fromKept, keepable, toKept, type KeptAnswer, type KeptRequest } from "../model/kept-request.ts";
import { refusalResponse } from "./reply.ts";

/** Where requests are kept: they survive a restart. */
interface KeptRequests {
  read(id: string): Promise<KeptRequest | undefined>;
  begin(request: KeptRequest): Promise<void>;
  end(request: KeptRequest): Promise<void>;
}

interface Parts {
  readonly requests: KeptRequests;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** An error in the form of this surface. */
  readonly error: Surface<never, never>["error"];
}

/** A request, and who makes it. */
export interface AskedOnce {
  readonly request: Request;
  readonly caller: string;
  /** As parsed from JSON or a form. */
  readonly body: unknown;
  /** A success must not be kept, since it holds a key. */
  readonly isSecret: boolean;
}

/**
 * Requests with an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header) act once: a repetition gets the answer of the
 * first one, also after a restart. That a request has begun is stored before it acts.
 */
export class Once {
  readonly #parts: Parts;
  readonly #running = new Map<string, { readonly asked: string; readonly answer: Promise<KeptAnswer> }>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async answer(asking: AskedOnce, act: () => Promise<Response>): Promise<Response> {
    const { request, caller } = asking;
    const header = request.headers.get("idempotency-key");
    if (header === null) return act();
    const key = parseKey(header);
    if (key === undefined) return this.#parts.error(400, wrongKey, request);
    const [id, asked] = await Promise.all([digestOf([caller, key]), digestOf(askedBy(asking))]);
    const running = this.#running.get(id);
    if (running) return running.asked === asked ? fromKept(await running.answer) : reused();
    const answer = this.#first({ id, caller, asked, at: this.#parts.now() }, asking, act);
    this.#running.set(id, { asked, answer });
    try {
      return fromKept(await answer);
    } finally {
      this.#running.delete(id);
    }
  }

  async #first(
    begun: KeptRequest,
    { request, isSecret }: AskedOnce,
    act: () => Promise<Response>,
  ): Promise<KeptAnswer> {
    const { requests, error } = this.#parts;
    const known = await requests.read(begun.id);
    if (known) return toKept(repeated(known, begun));
    try {
      await requests.begin(begun);
    } catch {
      return toKept(error(503, "The request could not be stored, and nothing was done; try again", request));
    }
    const answer = await toKept(await act());
    // Without it, a repetition is told that the request may have acted.
    await requests.end({ ...begun, answer: keepable(answer, { isSecret }) }).catch(() => undefined);
    return answer;
  }
}

/** The answer to a repetition in another run, or after the first one was answered. */
function repeated({ asked, answer, at }: KeptRequest, again: KeptRequest): Response {
  if (asked !== again.asked) return reused();
  const time = new Date(at).toISOString();
  if (answer === undefined)
    return refusalResponse(
      refuse("may-have-acted", `The request of ${time} was interrupted: it may have acted, and is not done again`),
    );
  if (!("without" in answer)) return fromKept(answer);
  const { status, without } = answer;
  const why = without === "secret" ? "is a secret" : "was too large";
  return refusalResponse(
    refuse(
      "answer-not-kept",
      `The request of ${time} was answered with ${status}, and is not done again; the answer ${why}, and was not kept`,
    ),
  );
}

const reused = (): Response =>
  refusalResponse(refuse("key-reused", "This Idempotency-Key came with another request; each request needs its own"));

/** A string of structured fields (RFC 9651), or the same without quotes. */
export const parseKey = (header: string): string | undefined =>
  /^(?:"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,128})"|([\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]{1,128}))$/
    .exec(header)
    ?.slice(1)
    .find((text) => text !== undefined);
export const wrongKey =
  'Idempotency-Key: expected one text of 1 to 128 visible characters without quotes, commas and "\\"';

/** What a repetition must have in common with the first request. Keys may be replaced in between. */
function askedBy({ request, body }: AskedOnce): unknown {
  const { pathname, searchParams } = new URL(request.url);
  searchParams.delete("apikey");
  return [request.method, pathname, searchParams.toString(), body];
}

async function digestOf(value: unknown): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
