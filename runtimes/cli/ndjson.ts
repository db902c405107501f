import * as z from "zod";

/** The lines of a stream of JSON objects, until it ends or breaks. Throws for a line of another shape. */
export async function* linesOf<T>(body: ReadableStream<Uint8Array> | null, schema: z.ZodType<T>): AsyncGenerator<T> {
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for await (const chunk of body ?? []) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line !== "") yield schema.parse(JSON.parse(line));
    }
  } catch (error) {
    if (error instanceof z.ZodError || error instanceof SyntaxError) throw error;
  }
}
