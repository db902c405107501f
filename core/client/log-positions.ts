import type { StreamLine } from "../api/device/stream.ts";

type LogLine = Extract<StreamLine, { readonly is: "log" }>;

/** Lines of a service may be missing: the last one that was read is not among those that were sent again. */
export interface LostLogs {
  readonly is: "lost";
  readonly of: "logs";
  readonly appId: number;
  readonly service: string;
}

/** The last line of a service: its time, and how many lines with this time there were. */
interface Position {
  readonly timestamp: number;
  readonly count: number;
  /** After a new connection: how many lines with this time were sent again. Undefined: the service has gone on. */
  repeated?: number | undefined;
}

/** Leaves out log lines that a new connection sends again. Several lines may have the same time. */
export class LogPositions {
  readonly #last = new Map<string, Position>();

  /** A new connection begins with lines that have been read already. */
  restart(): void {
    for (const position of this.#last.values()) position.repeated = 0;
  }

  /** The line, if it is new. */
  take(line: LogLine): readonly (LogLine | LostLogs)[] {
    const { appId, service, timestamp } = line;
    const key = `${appId}/${service}`;
    const last = this.#last.get(key);
    const isSame = last?.timestamp === timestamp;
    if (last?.repeated !== undefined) {
      if (timestamp < last.timestamp) return [];
      if (isSame && last.repeated < last.count) {
        last.repeated++;
        return [];
      }
    }
    const isLost = last?.repeated === 0;
    this.#last.set(key, { timestamp, count: isSame ? last.count + 1 : 1 });
    return isLost ? [{ is: "lost", of: "logs", appId, service }, line] : [line];
  }
}
