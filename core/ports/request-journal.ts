import type { KeptRequest } from "../model/kept-request.ts";

/** Of each caller, so that none can push out the requests of others. */
export const keptRequests = { entries: 1000, characters: 512 * 1024 } as const;

/**
 * Requests that have changed something, so that a repetition of one acts only once. The oldest ones of a caller are deleted when
 * there are too many; the time of the machine does not count, since it may jump.
 */
export interface RequestJournal {
  read(id: string): Promise<KeptRequest | undefined>;
  /** Adds a request. When it resolves, the request survives a power failure; rejects if it is not stored. */
  begin(request: KeptRequest): Promise<void>;
  /** Replaces a request that has begun. A power failure may undo this for some seconds. */
  end(request: KeptRequest): Promise<void>;
  /** The newest operations of a caller, the newest first. */
  operations(caller: string, limit: number): Promise<readonly KeptRequest[]>;
}
