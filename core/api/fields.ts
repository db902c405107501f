import * as z from "zod";
import { isTruthy } from "../model/truthy.ts";
import { json, reply, text } from "./endpoint.ts";

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

/**
 * Replies of every endpoint besides its own: without a key, to a page of another origin, for a host name that is not the
 * device's, for a body that cannot be read, after an unforeseen error.
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

export const success = z.literal("success");
