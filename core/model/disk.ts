/** The space on a file system. */
export interface Space {
  readonly freeBytes: number;
  readonly totalBytes: number;
  readonly freeInodes: number;
  /** 0 for a file system that makes inodes as it needs them. */
  readonly inodes: number;
}

/** Whether downloads fit, in bytes. */
export interface DiskFigures {
  /** At most; images whose size is not known do not count. */
  readonly need: number;
  readonly free: number;
  /** What no download may use. */
  readonly reserve: number;
}

/** Of the whole disk, and at least this many bytes: an engine, a log and a database need some space to go on. */
const reservedShare = 0.05;
const leastReserve = 200e6;

export const reserveOf = ({ totalBytes }: Space): number => Math.max(leastReserve, reservedShare * totalBytes);

/** A file system without free inodes is full, too, whatever space it has left. */
const lacksInodes = ({ freeInodes, inodes }: Space): boolean => inodes > 0 && freeInodes < reservedShare * inodes;

/** Why nothing may be downloaded, as a part of a sentence; undefined if `need` bytes may. */
export function whyShort(space: Space, need: number): string | undefined {
  const { freeBytes: free, freeInodes, inodes } = space;
  const reserve = reserveOf(space);
  if (lacksInodes(space))
    return `${Math.floor((100 * freeInodes) / inodes)} % of the inodes are free, ${100 * reservedShare} % are kept in reserve`;
  if (need + reserve <= free) return undefined;
  return `${need > 0 ? `${showBytes(need)} needed, ` : ""}${showBytes(free)} free, ${showBytes(reserve)} kept in reserve`;
}

/** With two digits: free space changes all the time, and a sentence should not. */
function showBytes(bytes: number): string {
  const exact = Math.max(0, bytes);
  const [divisor, unit] = exact >= 1e9 ? [1e9, "GB"] : exact >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  return `${Number((exact / divisor).toPrecision(exact / divisor >= 100 ? 3 : 2))} ${unit}`;
}
