import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { Listener } from "../../runtimes/node/listener.ts";
import { recordedApp, recordedService } from "./deviations.ts";
import { recordedDevice, run, three } from "./recorded-device.ts";
import { createComparison, expand, parseJson, readRecording, ruled, type Compared } from "./recording.ts";

/** The exchanges that were recorded byte by byte, replayed with a real listener. */

/** An answer on the wire. */
interface Said {
  readonly status: number;
  readonly type: string | null;
  readonly text: string;
  readonly etag: string | null;
  readonly connection: string | null;
}

test("http-headers", async () => {
  const device = await recordedDevice(
    {
      before: (one) => {
        const services = {
          ...three,
          ...recordedService("one", 1, { FOO: "bar" }),
          ...recordedService("two", 2, { V: "5" }),
        };
        return run(one, recordedApp("bench7", services, { releaseId: 10 }));
      },
    },
    { journal: "Nov 23 20:54:37 vm f16193ce6e00[3369]: hello from two\n", vpnIsUp: false },
  );
  const listener = new Listener(device.fetch, 0);
  await listener.listen("127.0.0.1");
  onTestFinished(() => listener.close());

  const comparison = createComparison("http-headers");
  const tags = new Map<string, string>();
  for (const entry of readRecording("http-headers")) {
    if (!("raw_request" in entry)) throw new Error("This is not for the wire");
    const { name, raw_request, raw_response } = entry;
    const there = parseAnswers(raw_response.replace("<<server closed>>", ""), raw_request);
    const request = expand(raw_request).replace(/W\/"[^"]+"/, (tag) => tags.get(tag) ?? tag);
    const here = await exchange(listener.port, request, {
      answers: there.length,
      untilClosed: raw_response.endsWith("<<server closed>>"),
    });
    const path = /^\S+ (?:http:\/\/[^/]+)?(\S+)/.exec(raw_request)?.[1] ?? "";
    for (const [n, recorded] of there.entries()) {
      const ours = here[n];
      if (ours?.etag && recorded.etag) tags.set(recorded.etag, ours.etag);
      expect.soft(ours?.connection, `${name}: Connection`).toBe(recorded.connection);
      comparison.compare(name, toCompared(ours), ruled(toCompared(recorded), path));
    }
  }
  comparison.end();
});

const toCompared = (said: Said | undefined): Compared => ({
  status: said?.status ?? 0,
  type: said?.type ?? null,
  body: parseJson(said?.text ?? "") ?? said?.text,
});

/** Sends bytes and reads until this many answers have arrived or the server closes. */
function exchange(
  port: number,
  request: string,
  { answers, untilClosed }: { answers: number; untilClosed: boolean },
): Promise<Said[]> {
  return new Promise((resolve, reject) => {
    let bytes = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(request, "latin1"));
    const end = () => {
      socket.destroy();
      resolve(parseAnswers(bytes, request));
    };
    socket.setEncoding("latin1");
    socket.on("data", (chunk) => {
      bytes += String(chunk);
      if (!untilClosed && parseAnswers(bytes, request).length >= answers) end();
    });
    socket.on("end", end);
    socket.on("error", reject);
  });
}

/** The complete answers in these bytes, or the beginning of an endless one. */
function parseAnswers(bytes: string, request: string): Said[] {
  const said: Said[] = [];
  for (let rest = bytes; rest;) {
    const headEnd = rest.indexOf("\r\n\r\n");
    if (headEnd < 0) break;
    const [statusLine = "", ...lines] = rest.slice(0, headEnd).split("\r\n");
    const headers = new Headers(
      lines.map((line): [string, string] => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]),
    );
    const status = Number(statusLine.split(" ")[1]);
    const hasNone = request.startsWith("HEAD ") || status < 200 || status === 204 || status === 304;
    const body = hasNone ? { text: "", length: 0 } : parseBody(rest.slice(headEnd + 4), headers);
    if (!body) break;
    rest = rest.slice(headEnd + 4 + body.length);
    said.push({
      status,
      type: headers.get("content-type"),
      text: Buffer.from(body.text, "latin1").toString("utf8"),
      etag: headers.get("etag"),
      connection: headers.get("connection"),
    });
  }
  return said;
}

/** A body and its length in bytes, or undefined if it is incomplete. */
function parseBody(bytes: string, headers: Headers): { text: string; length: number } | undefined {
  if (headers.get("transfer-encoding") !== "chunked") {
    const length = Number(headers.get("content-length") ?? 0);
    return bytes.length < length ? undefined : { text: bytes.slice(0, length), length };
  }
  let text = "";
  let at = 0;
  for (;;) {
    const lineEnd = bytes.indexOf("\r\n", at);
    const size = lineEnd < 0 ? NaN : parseInt(bytes.slice(at, lineEnd), 16);
    const end = lineEnd + 2 + size + 2;
    if (Number.isNaN(size) || end > bytes.length) return at > 0 ? { text, length: bytes.length } : undefined;
    text += bytes.slice(lineEnd + 2, lineEnd + 2 + size);
    at = end;
    if (size === 0) return { text, length: at };
  }
}
