import { messageOf } from "../../core/model/show.ts";

/** An error in the settings or on the machine that the user must fix. Its message is written for the user. */
export class SettingsError extends Error {
  override readonly name: string = "SettingsError";
}

/** The command line is wrong: an unknown command or option, or an invalid value. The exit status is 2. */
export class UsageError extends SettingsError {
  override readonly name = "UsageError";
}

/**
 * The exit status for an error that the user can correct; undefined for another one. By name: the built agent is a piece of
 * its own, with classes of its own.
 */
export const statusOf = (error: Error): 1 | 2 | undefined =>
  error.name === "UsageError" ? 2 : error.name === "SettingsError" ? 1 : undefined;

/** Runs `attempt`, without which the agent cannot start. Turns its failure into a `SettingsError`. */
export async function needed<T>(what: string, attempt: () => T | Promise<T>): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    throw new SettingsError(`Cannot ${what}: ${messageOf(error)}`);
  }
}
