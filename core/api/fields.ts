import * as z from "zod";
import { isTruthy } from "../model/truthy.ts";
import { json, reply, text } from "./endpoint.ts";

/** Fields of requests, each exactly as lenient as clients have come to rely on. */

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

/** A body in which every field may be missing; what is no object counts as empty. */
export const fields = <S extends z.ZodRawShape>(shape: S) =>
  z.preprocess(
    (body: z.input<z.ZodObject<S>>) => (typeof body === "object" && body !== null && !Array.isArray(body) ? body : {}),
    z.object(shape),
  );

/** A body that need not be there. */
export const orEmpty = <S extends z.ZodType>(schema: S) => z.preprocess((body: z.input<S>) => body ?? {}, schema);

export const Force = fields({ force: Truthy });

/** How v2, and much of v1, says no. */
export const Failed = json(z.object({ status: z.literal("failed"), message: z.string() }));
export const failed = (message: string) => ({ status: "failed" as const, message });

/** Of an endpoint about the device as a whole that says no like this: what a key of an application may be answered. */
export const deviceOnly = { refused: () => reply(401, failed("Unauthorized")) };

/**
 * What any endpoint may say besides its own: no key, a page of another origin, a name that is not the device's, a body
 * that cannot be read, something unforeseen.
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
