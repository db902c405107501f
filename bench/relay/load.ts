import { connect } from "node:net";

/** What is asked over and over, on so many connections. */
export interface Load {
  readonly url: string;
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly connections: number;
  readonly warmMs: number;
  readonly ms: number;
}

export interface Measured {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Keeps each connection busy with one request at a time. Throws at the first answer that is not 200. */
export async function measure({ url, method, headers, body, connections, warmMs, ms }: Load): Promise<Measured> {
  const { hostname, port, pathname } = new URL(url);
  const lines = Object.entries({ host: "bench", "content-length": String(body.length), ...headers });
  const request = Buffer.from(
    `${method} ${pathname} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`,
  );
  const begin = performance.now() + warmMs;
  const end = begin + ms;
  const latencies: number[] = [];

  const one = () =>
    new Promise<void>((resolve, reject) => {
      const socket = connect({ host: hostname, port: Number(port), noDelay: true });
      let sentAt = 0;
      let seen = "";
      const ask = () => {
        sentAt = performance.now();
        socket.write(request);
      };
      socket.on("connect", ask);
      socket.on("error", reject);
      socket.on("data", (bytes) => {
        seen += bytes.toString("latin1");
        if (!isWhole(seen)) return;
        if (!seen.startsWith("HTTP/1.1 200")) return reject(new Error(seen));
        seen = "";
        const now = performance.now();
        if (now >= begin) latencies.push(now - sentAt);
        if (now < end) return ask();
        socket.destroy();
        resolve();
      });
    });
  await Promise.all(Array.from({ length: connections }, one));
  latencies.sort((a, b) => a - b);
  const at = (part: number) => latencies[Math.floor(latencies.length * part)] ?? NaN;
  return { perSecond: latencies.length / (ms / 1000), p50Ms: at(0.5), p99Ms: at(0.99) };
}

function isWhole(text: string): boolean {
  const head = text.indexOf("\r\n\r\n");
  if (head < 0) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, head + 2))?.[1];
  return length === undefined ? text.endsWith("0\r\n\r\n") : text.length >= head + 4 + Number(length);
}
