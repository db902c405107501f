/** Files with which a new container signals that the old one may be killed, or that it confirms the update. */
export interface Handover {
  /** Whether the service has written `handover-complete` or `resin-kill-me`. */
  hasTakenOver(appId: number, service: string): Promise<boolean>;
  /** Removes the file before the next hand-over. */
  clearTakeOver(appId: number, service: string): Promise<void>;
  /** Whether the service has written `update-confirmed`. */
  hasConfirmed(appId: number, service: string): Promise<boolean>;
  /** Removes the file before the next update. */
  clearConfirmation(appId: number, service: string): Promise<void>;
}
