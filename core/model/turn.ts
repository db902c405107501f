/** An operation was cancelled before it acted. */
export class Cancelled extends Error {}

/** Lets an operation wait for its turn: until it takes it, it has not acted, and can be cancelled. */
export interface Turn {
  /** Throws `Cancelled` if it was cancelled. From then on it cannot be. */
  take(): void;
}
