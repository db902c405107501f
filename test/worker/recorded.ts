import { createGzip } from "node:zlib";
import * as z from "zod";
import { bodyOf, type Exchange } from "../cloud/recorded.ts";

/** The recorded exchanges with the public cloud, replayed on our cloud. */

export const recordedFleet = "e9eb9c68bb8547caa6b002595b443009";

/** The compared parts of an answer. */
export interface Said {
  readonly status: number;
  /** JSON, a text, or null for an empty body. */
  readonly body: unknown;
}

export async function ask(url: string, exchange: Exchange): Promise<Said & { readonly headers: Headers }> {
  const { method, path, headers } = exchange.request;
  const body = bodyOf(exchange);
  const sent = Object.entries(headers).filter(([name]) => !/^content-length$/i.test(name));
  const response = await fetch(url + path.replaceAll(" ", "%20"), {
    method,
    headers: [
      // Without it, fetch adds `no-cache` to a request with If-None-Match.
      ...("Cache-Control" in headers ? [] : [["cache-control", "max-age=0"] as [string, string]]),
      ...sent.map(([name, value]): [string, string] => [name, String(value)]),
    ],
    ...(body && { body: new Uint8Array(body) }),
  });
  return { status: response.status, headers: response.headers, body: read(await response.text()) };
}

function read(text: string): unknown {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * The events of a log that is followed while a device writes it in a compressed request that stays open: the reader's
 * lines, and the final answer to the writer's request.
 */
export async function follow(url: string, { request, events = [] }: Exchange, writerKey: string): Promise<string[]> {
  const path = /^\/device\/v2\/\w+\//.exec(request.path)?.[0] ?? "";
  const reading = await fetch(url + request.path, {
    headers: { authorization: String(request.headers["Authorization"]) },
  });
  const lines = linesOf(reading);
  const packer = createGzip();
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      packer.on("data", (chunk: Uint8Array) => controller.enqueue(chunk));
      packer.on("end", () => controller.close());
    },
  });
  const writing = fetch(`${url}${path}log-stream`, {
    method: "POST",
    body,
    headers: {
      authorization: `Bearer ${writerKey}`,
      "content-type": "application/x-ndjson",
      "content-encoding": "gzip",
    },
    ...{ duplex: "half" },
  });
  const heard: string[] = [];
  for (const { data, sent, status } of events) {
    if (data !== undefined) heard.push(`reader: ${messageIn((await lines.next()).value)}`);
    if (status !== undefined) heard.push(`writer: ${(await writing).status}`);
    if (sent === "(end of request)") packer.end();
    else if (sent !== undefined) {
      packer.write(`${JSON.stringify({ message: sent, timestamp: Date.now() })}\n`);
      packer.flush();
    }
  }
  await lines.return(undefined);
  return heard;
}

/** The same events in the recording. */
export const recordedEvents = ({ events = [] }: Exchange): string[] =>
  events.flatMap(({ data, status }) => [
    ...(data === undefined ? [] : [`reader: ${messageIn(data)}`]),
    ...(status === undefined ? [] : [`writer: ${status}`]),
  ]);

const messageIn = (line: unknown): string => z.object({ message: z.string() }).parse(read(String(line))).message;

async function* linesOf({ body }: Response): AsyncGenerator<string, void, undefined> {
  let text = "";
  for await (const chunk of body ?? []) {
    text += Buffer.from(chunk).toString();
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      if (text.slice(0, end).trim() !== "") yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
}

/** The paths where two values differ. */
function differences(a: unknown, b: unknown, path = ""): readonly string[] {
  if (isObject(a) && isObject(b))
    return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((key) =>
      differences(a[key], b[key], path === "" ? key : `${path}.${key}`),
    );
  return JSON.stringify(a) === JSON.stringify(b) ? [] : [path];
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

/** Ids depend on rows and times on the day, so they are not compared. */
const unlike =
  /(^|\.)(id|image_id|imageId|releaseId|createdAt|timestamp|install_date|last_update_status_event|last_connectivity_event)$/;

/** The installs of a device, sorted by content, because the recording sorts by descending ids. */
function sorted(body: unknown): unknown {
  const Rows = z.object({ d: z.tuple([z.looseObject({ image_install: z.array(z.looseObject({})) })]) });
  const { data } = Rows.safeParse(body);
  if (!data) return body;
  const [device] = data.d;
  const place = (install: object) =>
    JSON.stringify(Object.entries(install).filter(([name]) => /__/.test(name))).replace(/"id":\d+,/g, "");
  const installs = device.image_install.toSorted((a, b) => (place(a) < place(b) ? -1 : 1));
  return { d: [{ ...device, image_install: installs.map((one) => ({ ...one })) }] };
}

/** The paths where two answers differ. */
export const found = (theirs: Said, ours: Said): readonly string[] => [
  ...differences({ status: theirs.status }, { status: ours.status }),
  ...differences({ body: sorted(theirs.body) }, { body: sorted(ours.body) }).filter((path) => !unlike.test(path)),
];
