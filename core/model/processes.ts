/** The processes of a container, as `ps` prints them: a row has a cell for each title. */
export interface ProcessTable {
  readonly titles: readonly string[];
  readonly processes: readonly (readonly string[])[];
}

/** What a running container uses now. Bytes that were received, sent, read and written count from its start. */
export interface ResourceUse {
  /** Of one core: 200 is two whole cores. */
  readonly cpuPercent: number;
  /** Without the page cache that the kernel can drop. */
  readonly memoryBytes: number;
  /** The container's own limit, or the machine's memory. */
  readonly memoryLimitBytes: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly processes: number;
}
