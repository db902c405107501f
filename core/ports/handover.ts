/** Files with which a new container signals that the old one may be killed: `handover-complete` and `resin-kill-me`. */
export interface Handover {
  /** Whether the service has written the file. */
  hasTakenOver(appId: number, service: string): Promise<boolean>;
  /** Removes the file before the next hand-over. */
  clearTakeOver(appId: number, service: string): Promise<void>;
}
