/** What a line is about, such as an event. It contains no secrets. */
export interface LogFields {
  /** The kind of an event. Absent: the line is no event. */
  readonly kind?: string;
  readonly appId?: number | undefined;
  readonly service?: string | undefined;
  /** How often a failure has happened since the last line about it. */
  readonly times?: number;
}

/**
 * Lines for the operator of the machine. They contain no secrets. Adapters write here directly. The agent itself emits
 * events (`core/events`) instead, which are also written here.
 */
export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
}
