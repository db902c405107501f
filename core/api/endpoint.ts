import * as z from "zod";
import type { RefusalName } from "./refusal-types.ts";
import type { Principal } from "../model/scope.ts";
import type { Turn } from "../model/turn.ts";

/** How a reply's body is written; `T` is the handler's value. */
export interface Wire<out T> {
  /** For the compiler only. */
  readonly body?: T;
  /** "mixed": text when the body is a string, else JSON. */
  readonly type: "json" | "text" | "mixed" | "empty" | "stream";
  readonly contentType?: string;
  /** The forms of a text, the default first: the request's `Accept` chooses. */
  readonly contentTypes?: readonly [string, ...string[]];
  /** What the body looks like, or each line of a stream; absent for none. */
  readonly schema?: z.ZodType;
  /** The media type of the body if it is a stream, which a client may prefer to JSON. */
  readonly streamType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The names of the refusals, if these are the body. */
  readonly refusals?: readonly RefusalName[];
  /** A stream that goes on: proxies must neither collect nor change what arrives. */
  readonly isLive?: true;
}

export const json = <T>(schema: z.ZodType<T>): Wire<T> => ({
  type: "json",
  contentType: "application/json; charset=utf-8",
  schema,
});
/** One of these texts; without any, every text. */
export const text = <const T extends string = string>(...allowed: readonly T[]): Wire<T> => ({
  type: "text",
  contentType: "text/plain; charset=utf-8",
  schema: allowed.length > 0 ? z.enum(allowed) : z.string(),
});
/** A text in several forms, the default first. The handler finds the one that the request wants as `accepted`. */
export const textIn = (...contentTypes: readonly [string, ...string[]]): Wire<string> => ({
  type: "text",
  contentType: contentTypes[0],
  contentTypes,
  schema: z.string(),
});
/** A page. No page of another origin may show it in a frame. */
export const html: Wire<string> = {
  type: "text",
  contentType: "text/html; charset=utf-8",
  schema: z.string(),
  headers: {
    "content-security-policy": "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
  },
};
/** A status with JSON or, as recorded, with one of these texts. */
export const mixed = <T, const U extends string>({ schema }: Wire<T>, ...allowed: readonly U[]): Wire<T | U> => ({
  type: "mixed",
  schema: z.union([...(schema ? [schema] : []), z.enum(allowed)]),
});
export const empty: Wire<undefined> = { type: "empty" };
export const stream = (contentType: string, line?: z.ZodType): Wire<ReadableStream<Uint8Array>> => ({
  type: "stream",
  contentType,
  ...(line && { schema: line }),
});

/** A stream that goes on until its reader leaves. */
export const liveStream = (contentType: string, line: z.ZodType): Wire<ReadableStream<Uint8Array>> => ({
  ...stream(contentType, line),
  isLive: true,
});

/** JSON, or a stream with this media type for a client that accepts it. */
export const jsonOrStream = <T>(wire: Wire<T>, streamType: string): Wire<T | ReadableStream<Uint8Array>> => ({
  ...wire,
  streamType,
  isLive: true,
});

export type Replies = Readonly<Record<number, Wire<unknown>>>;

/** An answer with one of the declared statuses, and a body of that status. */
export type ReplyOf<R> = {
  [S in keyof R & number]: R[S] extends Wire<infer T>
    ? T extends undefined
      ? { readonly status: S; readonly body?: undefined }
      : { readonly status: S; readonly body: T }
    : never;
}[keyof R & number];

/** An invalid field of an input. */
export interface Fault {
  readonly path: string;
  readonly message: string;
}

/** Why an input is invalid, and what was sent. */
export interface Invalid {
  readonly faults: readonly Fault[];
  readonly params: Readonly<Record<string, string>>;
  /** The body's media type, as sent. */
  readonly contentType: string;
}

/** One line for each fault. */
export const sentences = (faults: readonly Fault[]): string =>
  faults.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join("\n");

/** What a request to an endpoint carries, parsed. */
export interface InputOf<P, B> {
  readonly params: P;
  readonly body: B;
  /** Taken before it acts, by an endpoint that `waits`. */
  readonly turn?: Turn;
  /** Of the forms of a 200, the one that the request wants; absent if there is only one. */
  readonly accepted?: string;
  /** Aborts when the client has left. A function: not every runtime has the signal without a cost. */
  readonly left?: () => AbortSignal;
}

/** No parameters, or no body: then the body of a request is not read. */
export const none = z.object({});

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** One HTTP endpoint as a value: its input, the scope that it needs, and every reply. */
export interface Endpoint<P, B, R extends Replies, SentP = unknown, SentB = unknown> {
  readonly method: Method;
  /** Segments that begin with a colon are parameters. */
  readonly path: `/${string}`;
  readonly summary: string;
  /** No key is needed. */
  readonly open?: boolean;
  /** Whether it changes something, where the method says otherwise. */
  readonly writes?: boolean;
  /** It creates or revokes credentials. */
  readonly manages?: true;
  /** Its method is not GET, but a repetition changes nothing more: it needs no `Idempotency-Key`. */
  readonly repeats?: true;
  /** A success has a key or a token, which is not kept. */
  readonly secretAnswer?: true;
  /** It waits for its turn before it acts, and can be cancelled until then. */
  readonly waits?: true;
  /**
   * It opens a shell in a container, or concerns an open one, and is not for keys of applications. `refused`: the reply to
   * these, and to a request of the cloud for somebody who may not.
   */
  readonly shell?: { readonly is: "opened" | "used"; readonly refused: () => ReplyOf<R> };
  /** Path parameters and those of the query. */
  readonly params: z.ZodType<P, SentP>;
  /** Parameters that are headers of the request, in lower case. */
  readonly headers?: readonly string[];
  readonly body: z.ZodType<B, SentB>;
  readonly replies: R;
  /** The reply when `params` or `body` are invalid. Absent: 400 with every fault. */
  readonly invalid?: (what: Invalid) => ReplyOf<R>;
  /** The applications that the principal's scope must cover, and the reply when it does not. */
  readonly scope?: {
    readonly apps: (input: InputOf<P, B>) => readonly number[];
    readonly refused: (input: InputOf<P, B>) => ReplyOf<R>;
  };
  /** It concerns the device as a whole: the reply to a key whose scope is its application. */
  readonly device?: { readonly refused: () => ReplyOf<R> };
  /** A person decides it: the reply to a key of a service. */
  readonly person?: { readonly refused: () => ReplyOf<R> };
  /** The limit of the unpacked body. Absent: the usual limit of `readBody`. */
  readonly bodyLimitBytes?: number;
  /** The reply to an unforeseen error. Absent: 503 in the common form. */
  readonly failed?: (message: string) => ReplyOf<R>;
}

type Kind = Pick<Endpoint<unknown, unknown, Replies>, "method" | "repeats" | "secretAnswer"> & {
  readonly shell?: unknown;
};

/** Whether an `Idempotency-Key` makes its requests act once. */
export const actsOnce = ({ method, repeats }: Kind): boolean => method !== "GET" && !repeats;

/** Whether `Prefer: respond-async` makes it an operation. */
export const mayRespondAsync = (kind: Kind): boolean =>
  actsOnce(kind) && kind.method !== "DELETE" && !kind.shell && !kind.secretAnswer;

export const endpoint = <P, B, const R extends Replies, SentP, SentB>(
  description: Endpoint<P, B, R, SentP, SentB>,
): Endpoint<P, B, R, SentP, SentB> => description;

/** A reply whose status keeps its literal type. */
export const reply = <const S extends number, const B>(status: S, body: B) => ({ status, body });

/** An object without required fields. */
export type Nothing = Record<never, never>;

/** Optional as a whole if none of its fields is required. */
type Part<K extends string, T> = Nothing extends T ? { readonly [_ in K]?: T } : { readonly [_ in K]: T };

/** What a client sends, before it is parsed. */
export type SentOf<SentP, SentB> = Part<"params", SentP> & Part<"body", SentB>;

/** Input and reply of a handler of the device's API. */
export type Input<E> = E extends Endpoint<infer P, infer B, infer _R> ? InputOf<P, B> & Principal : never;
export type Reply<E> = E extends Endpoint<infer _P, infer _B, infer R> ? ReplyOf<R> : never;
