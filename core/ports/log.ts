/** Lines for whoever looks after the machine. Never a secret. */
export interface Log {
  info(message: string): void;
  warn(message: string): void;
}
