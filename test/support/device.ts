import { onTestFinished } from "vitest";
import type { Endpoint, Replies } from "../../core/api/endpoint.ts";
import { commonOf, commonRefusals, hasRefusals } from "../../core/api/fields.ts";
import { endpoints } from "../../core/api/index.ts";
import { repliesToHeaders } from "../../core/api/once.ts";
import { createMemoryDevice, type MemoryDevice, type MemoryDeviceOptions } from "../../core/embedded/device.ts";
import type { Container } from "../../core/model/container.ts";

/** A device in memory that stops at the end of the test. */
export interface TestDevice extends MemoryDevice {
  readonly get: (path: string, headers?: Record<string, string>) => Promise<Answer>;
  readonly post: (path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>;
  readonly send: (method: string, path: string, init?: RequestInit) => Promise<Answer>;
  readonly patch: (path: string, body: unknown, headers?: Record<string, string>) => Promise<Answer>;
  /** Sets a target state and waits until it is reached. */
  readonly run: (apps: Record<string, object>, more?: object) => Promise<void>;
  /** The container of a service, read from the engine. */
  readonly container: (service: string) => Promise<Container>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Undefined if the body is not JSON. */
  readonly json: unknown;
}

const base = "http://device";

export async function testDevice(options?: MemoryDeviceOptions): Promise<TestDevice> {
  const device = await createMemoryDevice(options);
  onTestFinished(() => device.stop());
  const send = async (method: string, path: string, init: RequestInit = {}): Promise<Answer> => {
    const response = await device.fetch(new Request(base + path, { method, ...init }));
    const text = await response.text();
    const answer = { status: response.status, headers: response.headers, text, json: parse(text) };
    expectDeclared(method, path, answer);
    return answer;
  };
  const withJson = (body: unknown, headers: Record<string, string>): RequestInit =>
    body === undefined
      ? { headers }
      : { headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) };
  const post = (path: string, body?: unknown, headers: Record<string, string> = {}) =>
    send("POST", path, withJson(body, headers));
  return {
    ...device,
    send,
    get: (path, headers = {}) => send("GET", path, { headers }),
    post,
    patch: (path, body, headers = {}) => send("PATCH", path, withJson(body, headers)),
    run: async (apps, more = {}) => {
      const answer = await post("/v2/local/target-state", { local: { name: "device", config: {}, apps }, ...more });
      if (answer.status !== 200) throw new Error(answer.text);
      await device.settled();
    },
    container: async (service) => {
      const { containers } = await device.engine.look();
      const container = containers.find((one) => one.service === service);
      if (!container) throw new Error(`There is no container of ${service}`);
      return container;
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Throws if an answer is not declared by its endpoint, or does not have the declared form. Refusals that every endpoint may
 * give (without a key, for an unreadable body, after an unforeseen error) need not be declared.
 */
export function expectDeclared(method: string, path: string, { status, headers, text, json }: Answer): void {
  if (method === "HEAD" || method === "OPTIONS" || status === 304) return;
  const [pathname = ""] = path.split("?");
  const route = Object.values<Described>(endpoints).find(
    (one) => one.method === method && patternOf(one.path).test(pathname),
  );
  const type = headers.get("content-type");
  const said = `${method} ${path} answered ${status} ${type ?? "without a content-type"}: ${text.slice(0, 400)}`;
  if (status === 401 && text === "Unauthorized" && type === plainType && !hasRefusals(pathname)) return;
  if (status === 401 && hasRefusals(pathname) && commonRefusals[401].schema?.safeParse(json).success) return;
  if (!route) {
    if (status !== 404) throw new Error(`${said}\nThere is no such endpoint`);
    return;
  }
  if ([400, 413, 415, 503].includes(status) && type === jsonType && isFailed(json) && !hasRefusals(pathname)) return;

  const toHeaders = repliesToHeaders(route)[status];
  const common = hasRefusals(pathname) ? commonOf(route)[status] : undefined;
  const shared = toHeaders?.schema?.safeParse(json).success ? toHeaders : common;
  const wire = shared?.schema?.safeParse(json).success ? shared : route.replies[status];
  if (!wire) throw new Error(`${said}\nDeclared are ${Object.keys(route.replies).join(", ")}`);
  const isText = wire.type === "text" || (wire.type === "mixed" && type === plainType);
  const declared = wire.contentTypes
    ? (wire.contentTypes.find((one) => one === type) ?? wire.contentTypes.join(" or "))
    : wire.type === "mixed"
      ? isText
        ? plainType
        : jsonType
      : (wire.contentType ?? null);
  if (type !== declared) throw new Error(`${said}\nDeclared is ${declared ?? "no content-type"}`);
  if (wire.type === "empty" && text !== "") throw new Error(`${said}\nDeclared is an empty body`);
  if (wire.schema && wire.type !== "stream") {
    const parsed = wire.schema.safeParse(isText ? text : json);
    if (!parsed.success) throw new Error(`${said}\nIt does not fit: ${parsed.error.message}`);
  }
}

type Described = Pick<
  Endpoint<unknown, unknown, Replies>,
  "method" | "path" | "replies" | "repeats" | "secretAnswer"
> & {
  readonly shell?: unknown;
};

const plainType = "text/plain; charset=utf-8";
const jsonType = "application/json; charset=utf-8";

const patternOf = (path: string): RegExp => new RegExp(`^${path.replace(/:\w+/g, "[^/]+")}/?$`, "i");

const isFailed = (json: unknown): boolean =>
  typeof json === "object" &&
  json !== null &&
  "status" in json &&
  json.status === "failed" &&
  "message" in json &&
  typeof json.message === "string";

/** A service of a target state (version 2). */
export const service = (name: string, id: number, more: object = {}): object => ({
  serviceName: name,
  imageId: id,
  image: `${name}:latest`,
  environment: {},
  labels: {},
  ...more,
});

/** An application of a target state (version 2). `services`: the fields by service name. */
export const app = (services: Record<string, object>, more: object = {}): object => ({
  name: "fleet",
  commit: "c1",
  releaseId: 1,
  services: Object.fromEntries(
    Object.entries(services).map(([name, fields], n) => [String(n + 1), service(name, n + 1, fields)]),
  ),
  ...more,
});
