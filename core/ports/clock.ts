/** The only source of time and randomness, so that a test can simulate a week in a millisecond. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds since some moment. Unlike `now`, it does not jump when the time of the machine is set. */
  monotonic(): number;
  /** Resolves after this time, or at once when the signal fires. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** 0 ≤ x < 1 */
  random(): number;
  /** Unguessable, as lower case hex. */
  token(bytes: number): string;
}

/** The real clock. All supported runtimes have these globals. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const wake = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      // 2^31 - 1 ms is the longest delay. A timer with a longer one fires at once.
      const timer = setTimeout(wake, Math.min(ms, 2 ** 31 - 1));
      signal?.addEventListener("abort", wake);
    }),
  random: () => Math.random(),
  token: (bytes) =>
    [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
};
