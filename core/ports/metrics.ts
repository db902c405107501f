/** Load and health of the machine. */
export interface Metrics {
  measure(): Promise<Measurements>;
}

/** Whole numbers. A value that the machine does not provide is absent. */
export interface Measurements {
  readonly memoryUsedMb: number;
  readonly memoryTotalMb: number;
  /** Of the file system that holds images and volumes; `storageDevice` is its block device. */
  readonly storageUsedMb?: number;
  readonly storageTotalMb?: number;
  readonly storageDevice?: string;
  readonly cpuCelsius?: number;
  /** Of all cores, since the previous measurement. */
  readonly cpuPercent: number;
  /** How long the cores were busy and idle since the machine has started, together. Both, or none. */
  readonly cpuBusyMs?: number;
  readonly cpuIdleMs?: number;
  readonly cpuId?: string;
  /** Whether the power supply is too weak now. */
  readonly isUndervolted: boolean;
}
