/** An event of a stream, as an EventSource would receive it. */
export interface ServerSentEvent {
  readonly event?: string;
  readonly id?: string;
  /** Parsed from JSON. */
  readonly data?: unknown;
}

/** Reads a response as server-sent events: comments and the reconnection time are left out. */
export function readServerSentEvents({ body }: Response) {
  if (!body) throw new Error("no body");
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const next = async (): Promise<ServerSentEvent> => {
    for (;;) {
      const end = text.indexOf("\n\n");
      if (end < 0) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`The stream has ended: ${text}`);
        text += value;
        continue;
      }
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const [event, id, data] = [field("event"), field("id"), field("data")];
      if (data !== undefined)
        return {
          ...(event !== undefined && { event }),
          ...(id !== undefined && { id }),
          data: JSON.parse(data),
        };
    }
  };
  return { next, cancel: () => reader.cancel() };
}
