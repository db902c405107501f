import { issueMessage } from "../../../core/model/issue.ts";
import { ProxiedRequest } from "../../../core/api/cloud/proxy.ts";
import { readBody } from "../../../core/http/body.ts";
import { parseJson } from "../../../core/model/json.ts";
import type { Bytes, RequestHead } from "../../../core/relay/frame.ts";
import { limitBytes } from "../http.ts";

/** What a client wants of its devices: the filters, and the request for each device. */
export interface ParsedProxyRequest {
  readonly filters: Pick<ProxiedRequest, "uuid" | "deviceId" | "appId">;
  readonly head: RequestHead;
  readonly body: Bytes | undefined;
  readonly hasData: boolean;
  /** Seconds. */
  readonly expires: number;
}

interface Refused {
  readonly status: number;
  readonly message: string;
}

/** Room for what surrounds `data`. */
const envelopeBytes = 2 * 1024;
/** For the one endpoint that takes a whole target state. */
const targetStateBytes = 10 * 1024 * 1024;
const isTargetState = (path: string): boolean => /^\/v2\/local\/target-state\/?$/i.test(path);

/** Reads `POST /supervisor/<path>`, or returns the status and the sentence to refuse it with. */
export async function parseProxyRequest(request: Request, url: URL): Promise<ParsedProxyRequest | Refused> {
  const path = url.pathname.slice("/supervisor".length);
  if (path === "" || path === "/") return refused("Supervisor API url must be specified");
  const sent = await readJson(request, isTargetState(path) ? targetStateBytes : limitBytes + envelopeBytes);
  if (!sent.ok) return sent;
  const parsed = parse(sent.value);
  if (typeof parsed === "string") return refused(parsed);

  const { method, data, expires, ...filters } = parsed;
  const json = stringify(data);
  if (json === undefined) return refused("data: expected fewer levels in each other");
  const hasNoBody = method === "GET" || method === "HEAD";
  const body = data && !hasNoBody ? new Uint8Array(encoder.encode(json)) : undefined;
  const head: RequestHead = {
    method,
    path: path + queryOf(url, hasNoBody ? data : undefined),
    headers: [
      ...(body === undefined ? [] : [["content-type", "application/json"] as [string, string]]),
      ...forwardedHeaders.flatMap((name): [string, string][] => {
        const value = request.headers.get(name);
        return value === null ? [] : [[name, value]];
      }),
    ],
  };
  return { filters, head, body, expires, hasData: data !== undefined };
}

const encoder = new TextEncoder();

const refused = (message: string): Refused => ({ status: 400, message });

type Sent = { readonly ok: true; readonly value: unknown } | (Refused & { readonly ok: false });

/** The body as JSON, whatever its content type. Most are small and have a length: those are read at once. */
async function readJson(request: Request, limit: number): Promise<Sent> {
  const { headers } = request;
  const length = headers.get("content-length");
  if (length !== null && Number(length) <= limitBytes && !headers.has("content-encoding"))
    return { ok: true, value: parseJson(await request.text()) };
  const asJson = new Headers(headers);
  asJson.set("content-type", "application/json");
  return readBody(new Request(request, { headers: asJson }), { limitBytes: limit });
}

/** The request, or the sentence that says what is wrong with it. */
function parse(json: unknown): ProxiedRequest | string {
  if (json === undefined) return "Expected a JSON object with uuid, deviceId or appId";
  const parsed = ProxiedRequest.safeParse(json);
  if (!parsed.success)
    return parsed.error.issues
      .map((issue) =>
        /^Invalid method|if specified$/.test(issue.message)
          ? issue.message
          : `${issue.path.join(".") || "body"}: ${issueMessage(issue)}`,
      )
      .join("; ");
  const { uuid, deviceId, appId } = parsed.data;
  return uuid == null && deviceId == null && appId == null ? "At least one filter must be specified" : parsed.data;
}

/** Undefined for data that is nested too deeply. */
function stringify(data: ProxiedRequest["data"]): string | undefined {
  try {
    return JSON.stringify(data ?? {});
  } catch {
    return undefined;
  }
}

/** The client's headers that the device receives; never keys or cookies. */
const forwardedHeaders = ["accept", "if-none-match", "last-event-id"];

const isKey = (name: string): boolean => /^(api[-_]?key|(access[-_]?)?token|authorization)$/i.test(name);

/** The client's query without keys, and the `data` of a request without a body. */
function queryOf(url: URL, data: ProxiedRequest["data"]): string {
  if (url.search === "" && data === undefined) return "";
  const { search, searchParams } = url;
  const kept = [...searchParams].filter(([name]) => !isKey(name));
  const more = Object.entries(data ?? {}).map(([name, value]): [string, string] => [name, textOf(value)]);
  if (more.length === 0 && kept.length === searchParams.size) return search;
  const query = new URLSearchParams([...kept, ...more]).toString();
  return query && `?${query}`;
}

const textOf = (value: unknown): string =>
  typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
