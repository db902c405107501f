import type { LogPosition } from "../model/log-position.ts";

export type { LogPosition };

/** A stored line. Numbers rise in the order of arrival. A run of the agent uses each number once. */
export interface KeptLine {
  readonly number: number;
  readonly text: string;
}

/**
 * Log lines that wait for delivery. The size in bytes is limited: the oldest lines are dropped and counted. Both methods
 * that write are atomic, and their effect survives a restart.
 */
export interface LogRing {
  /** By container id. */
  positions(): Promise<ReadonlyMap<string, LogPosition>>;
  /** Adds lines and records the new positions. An undefined position: the container does not exist any more. */
  append(lines: readonly string[], positions: ReadonlyMap<string, LogPosition | undefined>): Promise<void>;
  /** The oldest lines, and the number of dropped lines that has not been acknowledged. */
  read(limit: { readonly lines: number; readonly bytes: number }): Promise<{
    readonly lines: readonly KeptLine[];
    readonly lost: number;
  }>;
  /** Removes the lines up to this number after delivery, and subtracts `lost` from the number of dropped lines. */
  acknowledge(upTo: number, lost: number): Promise<void>;
}
