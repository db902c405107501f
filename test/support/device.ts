import { onTestFinished } from "vitest";
import { createMemoryDevice, type MemoryDevice, type MemoryDeviceOptions } from "../../core/embedded/device.ts";

/** A device in memory that ends with the test, and what tests do with it. */
export interface TestDevice extends MemoryDevice {
  readonly get: (path: string, headers?: Record<string, string>) => Promise<Answer>;
  readonly post: (path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>;
  readonly send: (method: string, path: string, init?: RequestInit) => Promise<Answer>;
  /** Sets a target state, and waits until it is reached. */
  readonly run: (apps: Record<string, object>, more?: object) => Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Undefined when it is no JSON. */
  readonly json: unknown;
}

const base = "http://device";

export async function testDevice(options?: MemoryDeviceOptions): Promise<TestDevice> {
  const device = await createMemoryDevice(options);
  onTestFinished(() => device.stop());
  const send = async (method: string, path: string, init: RequestInit = {}): Promise<Answer> => {
    const response = await device.fetch(new Request(base + path, { method, ...init }));
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: parse(text) };
  };
  const post = (path: string, body?: unknown, headers: Record<string, string> = {}) =>
    send(
      "POST",
      path,
      body === undefined
        ? { headers }
        : { headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) },
    );
  return {
    ...device,
    send,
    get: (path, headers = {}) => send("GET", path, { headers }),
    post,
    run: async (apps, more = {}) => {
      const answer = await post("/v2/local/target-state", { local: { name: "device", config: {}, apps }, ...more });
      if (answer.status !== 200) throw new Error(answer.text);
      await device.settled();
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

/** A service of a target state, v2. */
export const service = (name: string, id: number, more: object = {}): object => ({
  serviceName: name,
  imageId: id,
  image: `${name}:latest`,
  environment: {},
  labels: {},
  ...more,
});

/** An application of a target state, v2: its services by name. */
export const app = (services: Record<string, object>, more: object = {}): object => ({
  name: "fleet",
  commit: "c1",
  releaseId: 1,
  services: Object.fromEntries(
    Object.entries(services).map(([name, fields], n) => [String(n + 1), service(name, n + 1, fields)]),
  ),
  ...more,
});
