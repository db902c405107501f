/** Room of its own for each kind of entry: when there are more, the oldest of the principal with the most are deleted. */
export const mostEntries = {
  /** By people, in the directory. */
  change: 50_000,
  /** By people, on devices. */
  relay: 50_000,
  /** By devices and provisioning keys. */
  device: 20_000,
  /** Unknown keys and tokens: an entry for each address and minute. */
  refused: 10_000,
} as const;

type AuditKind = keyof typeof mostEntries;

/** What an entry of the audit log is about, as far as it is known. */
export interface AuditTarget {
  /** Absent: that of the device. */
  readonly fleetId?: number | undefined;
  readonly uuid?: string | undefined;
  /** Names and ids, such as those of a created row. */
  readonly about?: string | undefined;
}

/** Who changed what, from where, and with which status: never with a key, a body or a value. */
export interface AuditItem extends AuditTarget {
  readonly kind: AuditKind;
  /** Milliseconds since the epoch; for refusals the beginning of the minute. */
  readonly at: number;
  readonly who: string;
  readonly address: string | undefined;
  /** Name of the endpoint. */
  readonly operation: string;
  readonly method?: string | undefined;
  /** Path of the endpoint, with its parameters' names: their values may be secrets that were pasted there. */
  readonly path?: string | undefined;
  readonly status: number;
  readonly count?: number;
}
