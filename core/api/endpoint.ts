import * as z from "zod";
import type { Principal } from "../model/scope.ts";

/** How an answer's body is written; `T` is what a handler gives. */
export interface Wire<out T> {
  /** Only the compiler looks at it. */
  readonly body?: T;
  /** "mixed": text when the body is a string, else JSON. */
  readonly type: "json" | "text" | "mixed" | "empty" | "stream";
  readonly contentType?: string;
  /** What the body looks like; absent for none, and for a stream. */
  readonly schema?: z.ZodType;
}

export const json = <T>(schema: z.ZodType<T>): Wire<T> => ({
  type: "json",
  contentType: "application/json; charset=utf-8",
  schema,
});
/** One of these texts; without any, whichever. */
export const text = <const T extends string = string>(...allowed: readonly T[]): Wire<T> => ({
  type: "text",
  contentType: "text/plain; charset=utf-8",
  schema: allowed.length > 0 ? z.enum(allowed) : z.string(),
});
/** A status that comes with JSON or, for reasons of history, with one of these texts. */
export const mixed = <T, const U extends string>({ schema }: Wire<T>, ...allowed: readonly U[]): Wire<T | U> => ({
  type: "mixed",
  schema: z.union([...(schema ? [schema] : []), z.enum(allowed)]),
});
export const empty: Wire<undefined> = { type: "empty" };
export const stream = (contentType: string): Wire<ReadableStream<Uint8Array>> => ({ type: "stream", contentType });

export type Replies = Readonly<Record<number, Wire<unknown>>>;

/** An answer with one of the declared statuses, and a body of that status. */
export type ReplyOf<R> = {
  [S in keyof R & number]: R[S] extends Wire<infer T>
    ? T extends undefined
      ? { readonly status: S; readonly body?: undefined }
      : { readonly status: S; readonly body: T }
    : never;
}[keyof R & number];

/** What is wrong with an input, and where. */
export interface Fault {
  readonly path: string;
  readonly message: string;
}

/** Why an input does not fit, and what was sent. */
export interface Invalid {
  readonly faults: readonly Fault[];
  readonly params: Readonly<Record<string, string>>;
  /** The body's media type, as sent. */
  readonly contentType: string;
}

/** Every fault on a line of its own. */
export const sentences = (faults: readonly Fault[]): string =>
  faults.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join("\n");

/** What a request to an endpoint carries, parsed. */
export interface InputOf<P, B> {
  readonly params: P;
  readonly body: B;
}

/** No parameters, no body; an endpoint with this for its body does not even look at one. */
export const none = z.object({});

export type Method = "GET" | "POST" | "PATCH" | "DELETE";

/** One HTTP endpoint as a value: what comes in, who may ask, and every answer that it gives. */
export interface Endpoint<P, B, R extends Replies, SentP = unknown, SentB = unknown> {
  readonly method: Method;
  /** Segments that begin with a colon are parameters. */
  readonly path: `/${string}`;
  readonly summary: string;
  /** No key is needed. */
  readonly open?: boolean;
  /** It changes something, although its method is GET. */
  readonly writes?: true;
  /** It makes or ends credentials. */
  readonly manages?: true;
  /** Path parameters and those of the query. */
  readonly params: z.ZodType<P, SentP>;
  readonly body: z.ZodType<B, SentB>;
  readonly replies: R;
  /** The answer when `params` or `body` do not fit; an endpoint that takes anything has none. */
  readonly invalid?: (what: Invalid) => ReplyOf<R>;
  /** The applications that the caller's key must cover, and the answer when it does not. */
  readonly scope?: {
    readonly apps: (input: InputOf<P, B>) => readonly number[];
    readonly refused: (input: InputOf<P, B>) => ReplyOf<R>;
  };
  /** It is about the device as a whole: the answer to a key that reaches no further than its application. */
  readonly device?: { readonly refused: () => ReplyOf<R> };
  /** The largest body that it takes, once unpacked; absent: the usual limit, which `readBody` has. */
  readonly bodyLimitBytes?: number;
  /** The answer when something unforeseen happens, for an endpoint that has a shape of its own for it. */
  readonly failed?: (message: string) => ReplyOf<R>;
}

export const endpoint = <P, B, const R extends Replies, SentP, SentB>(
  description: Endpoint<P, B, R, SentP, SentB>,
): Endpoint<P, B, R, SentP, SentB> => description;

/** A reply whose status keeps its literal type. */
export const reply = <const S extends number, const B>(status: S, body: B) => ({ status, body });

/** An object in which nothing need be. */
export type Nothing = Record<never, never>;

/** What a caller may leave out as a whole, where none of it is needed. */
type Part<K extends string, T> = Nothing extends T ? { readonly [_ in K]?: T } : { readonly [_ in K]: T };

/** What a caller sends: before the endpoint's leniency, while a handler sees what comes after it. */
export type SentOf<SentP, SentB> = Part<"params", SentP> & Part<"body", SentB>;

/** What the handler of one of the device's endpoints is given, and what it may answer. */
export type Input<E> = E extends Endpoint<infer P, infer B, infer _R> ? InputOf<P, B> & Principal : never;
export type Reply<E> = E extends Endpoint<infer _P, infer _B, infer R> ? ReplyOf<R> : never;
