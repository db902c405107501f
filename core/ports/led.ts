/** A LED by which people find the device. */
export interface Led {
  /** Starts the pattern (200 ms on, 200 ms off, for 15 s) and returns; a second call extends it. */
  blink(): void;
}
