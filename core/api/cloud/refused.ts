import * as z from "zod";
import { json } from "../endpoint.ts";

/**
 * The body of every refusal of the device ↔ cloud API, as recorded: a sentence as a JSON string, an object with `error`
 * where a key is required, or nothing at all.
 */
export const Refused = json(z.union([z.string(), z.object({ error: z.string() })]).optional());
