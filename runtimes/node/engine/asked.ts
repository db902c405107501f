import * as z from "zod";
import { EngineError } from "../../../core/ports/engine.ts";

/** Returns the engine's response. Turns an error response into an `EngineError`. */
export async function asked<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    const { data } = Refusal.safeParse(error);
    const message = data?.json?.message ?? data?.message ?? String(error);
    // For a stream, dockerode puts the status before the engine's own sentence.
    throw new EngineError(message.replace(/^\(HTTP code \d+\) [^-]* - /, ""), data?.statusCode ?? 0, { cause: error });
  }
}

/** The errors that dockerode rejects with. */
const Refusal = z.looseObject({
  statusCode: z.number().optional(),
  message: z.string().optional(),
  json: z.looseObject({ message: z.string().optional() }).nullish().catch(undefined),
});

/** For `catch`: ignores engine errors with one of these statuses, and throws all others again. */
export const unless =
  (...statuses: readonly number[]) =>
  (error: unknown): undefined => {
    if (error instanceof EngineError && statuses.includes(error.status)) return undefined;
    throw error;
  };
