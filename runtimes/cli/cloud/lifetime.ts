import { UsageError } from "../../node/settings-error.ts";

/** `--days` of keys and tokens. */
export const daysOption = { type: "string", value: "<n>" } as const;

export function lifetimeOf(days: string | undefined): { lifetimeDays?: number | "never" } {
  if (days === undefined) return {};
  if (days === "never") return { lifetimeDays: "never" };
  if (Number(days) > 0) return { lifetimeDays: Number(days) };
  throw new UsageError(`--days: expected a number above 0, or never, but got ${JSON.stringify(days)}`);
}
