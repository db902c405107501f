import * as z from "zod";
import { powers } from "../../model/powers.ts";
import { refusal } from "../refusal.ts";

export const Id = z.coerce.number({ error: "expected a whole number" }).int().positive();
export const Name = z.string().trim().min(1).max(100);
/** As the public clients write them: `raspberrypi4-64`. */
export const DeviceType = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,99}$/, { error: "expected a slug, such as generic-amd64" });
export const When = z.string().describe("ISO 8601");

/** The refusals that nearly every operation may answer. */
export const refusals = {
  400: refusal("invalid-request"),
  401: refusal("unauthorized"),
  403: refusal("forbidden"),
} as const;

export const Pin = z.string().min(1).optional().describe('A release\'s commit; or "latest", to follow again');

export const Powers = z
  .array(z.enum(powers, { error: `expected one of ${powers.join(", ")}` }), { error: "expected a list of powers" })
  .transform((words) => powers.filter((power) => words.includes(power)))
  .describe("Powers over the host that services may not request");

const mostDays = 36_500;
export const LifetimeDays = z
  .union([z.number().positive().max(mostDays), z.literal("never")], {
    error: `expected a number of days, at most ${mostDays}, or "never"`,
  })
  .optional();
