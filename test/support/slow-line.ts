import { createServer, request } from "node:http";
import { onTestFinished } from "vitest";
import { freePort } from "./docker.ts";

/** A line to a registry. */
export interface Line {
  /** The registry's address at this end of the line: `127.0.0.1:port` */
  readonly host: string;
  /** How many bytes of the registry's answers have come through. */
  readonly sent: () => number;
  /** Ends all connections; others are refused until it is mended. */
  readonly cut: () => Promise<void>;
  readonly mend: () => Promise<void>;
}

/** A slow line to a registry, until the end of the test. */
export async function slowLine(registry: string, bytesPerSecond: number): Promise<Line> {
  let sent = 0;
  const server = createServer(({ url, method, headers }, response) => {
    request(`http://${registry}${url ?? ""}`, { method, headers }, async (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      for await (const chunk of answer as AsyncIterable<Buffer>) {
        if (response.destroyed) return;
        sent += chunk.length;
        response.write(chunk);
        if (chunk.length > 10_000)
          await new Promise((next) => setTimeout(next, (1000 * chunk.length) / bytesPerSecond));
      }
      response.end();
    }).end();
  });
  const port = await freePort();
  const mend = () => new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const cut = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  await mend();
  onTestFinished(cut);
  return { host: `127.0.0.1:${port}`, sent: () => sent, cut, mend };
}
