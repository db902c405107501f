/**
 * Lines for the person who operates the machine. Never a secret. Only adapters write here what they have to report. What
 * the agent itself does is an event (`core/events`), and this log is one of its readers.
 */
export interface Log {
  info(message: string): void;
  warn(message: string): void;
}
