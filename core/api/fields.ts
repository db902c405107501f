import * as z from "zod";
import { isTruthy } from "../model/truthy.ts";
import { json, reply, text, type Replies } from "./endpoint.ts";
import { refusal, refuse } from "./refusal.ts";

/** Fields of requests, each as lenient as the reference implementation. */

const WholeNumber = z.union([
  z.int(),
  z
    .string()
    .regex(/^-?\d+$/)
    .transform(Number),
]);

/** v1: any whole number, as number or digits. */
export const AppId = WholeNumber;
/** v2: 0 is none. */
export const AppIdV2 = WholeNumber.refine((id) => id !== 0);

/** true, 1, "1", "true" and "on" mean yes; everything else means no. */
export const Truthy = z.unknown().optional().transform(isTruthy);

/** A body whose fields are all optional; anything but an object counts as empty. */
export const fields = <S extends z.ZodRawShape>(shape: S) =>
  z.preprocess(
    (body: z.input<z.ZodObject<S>>) => (typeof body === "object" && body !== null && !Array.isArray(body) ? body : {}),
    z.object(shape),
  );

/** An optional body. */
export const orEmpty = <S extends z.ZodType>(schema: S) => z.preprocess((body: z.input<S>) => body ?? {}, schema);

export const Force = fields({ force: Truthy });

/** The form of errors of v2, and of most of v1. */
export const Failed = json(z.object({ status: z.literal("failed"), message: z.string() }));
export const failed = (message: string) => ({ status: "failed" as const, message });

/** For endpoints about the device as a whole: the reply to the key of an application. */
export const deviceOnly = { refused: () => reply(401, failed("Unauthorized")) };

/** For an endpoint about an application: the reply to a key of another one. */
export const outsideScope = () => refuse("outside-scope", "This key is for another application");

/**
 * Replies of every endpoint of v1 and v2 besides its own: without a key, to a page of another origin, for a host name that is
 * not the device's, for a body that cannot be read, after an unforeseen error.
 */
export const common = {
  400: Failed,
  401: text("Unauthorized"),
  403: Failed,
  413: Failed,
  415: Failed,
  421: Failed,
  503: Failed,
} as const;

/** The same of every other endpoint. */
export const commonRefusals = {
  400: refusal("invalid-request"),
  401: refusal("unauthorized"),
  403: refusal("foreign-origin"),
  413: refusal("too-large"),
  415: refusal("unsupported-media-type"),
  421: refusal("foreign-host"),
  503: refusal("unavailable"),
} as const;

/** Whether errors of a path are problem details. The forms of other paths are recorded ones. */
export const hasRefusals = (pathname: string): boolean =>
  /^\/(v3|admin|metrics|docs|openapi\.json)(\/|$)/i.test(pathname);

export const commonOf = ({ path }: { readonly path: string }): Replies => (hasRefusals(path) ? commonRefusals : common);

export const success = z.literal("success");
