import { messageOf } from "../../core/model/show.ts";

/** What is wrong with the user's input or machine, as sentences for the user. */
export class SettingsError extends Error {}

/** Runs `attempt`; its failure is a `SettingsError`: the agent cannot run without this, and only the user can mend it. */
export async function needed<T>(what: string, attempt: () => T | Promise<T>): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    throw new SettingsError(`Cannot ${what}: ${messageOf(error)}`);
  }
}
