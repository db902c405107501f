import type { TestDevice } from "../support/device.ts";

/** A reader of `GET /v2/local/logs`. */
export interface LogReader {
  readonly response: Response;
  /** The lines up to the first one with this message, from where the last reading ended. */
  readonly until: (message: string) => Promise<unknown[]>;
  /** The lines up to the end of the stream. */
  readonly toEnd: () => Promise<unknown[]>;
  readonly leave: () => Promise<void>;
}

export async function readLogs(device: Pick<TestDevice, "fetch">, headers = {}): Promise<LogReader> {
  const response = await device.fetch(new Request("http://device/v2/local/logs", { headers }));
  if (!response.body) throw new Error(`${response.status} without a stream`);
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let ahead: string[] = [];
  let rest = "";

  const nextLine = async (): Promise<string | undefined> => {
    while (ahead.length === 0) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      const parts = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      ahead = parts;
    }
    return ahead.shift();
  };
  const read = async (isLast: (line: string) => boolean): Promise<unknown[]> => {
    const lines: unknown[] = [];
    for (let line = await nextLine(); line !== undefined; line = await nextLine()) {
      lines.push(JSON.parse(line));
      if (isLast(line)) break;
    }
    return lines;
  };
  return {
    response,
    until: (message) => read((line) => line.includes(`"message":${JSON.stringify(message)}`)),
    toEnd: () => read(() => false),
    leave: () => reader.cancel(),
  };
}
