/**
 * Lines for the operator of the machine. They contain no secrets. Adapters write here directly. The agent itself emits
 * events (`core/events`) instead, which are also written here.
 */
export interface Log {
  info(message: string): void;
  warn(message: string): void;
}
