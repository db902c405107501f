import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { createTestHarness } from "wrangler";
import "./offline.ts";

export const adminSecret = "the admin secret of the tests of Fairlead";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Undefined if the body is not JSON. */
  readonly json: unknown;
}

export interface Cloud {
  /** Without a slash at the end. */
  readonly url: () => string;
  /** `key` is the bearer token, by default the admin secret. */
  readonly ask: (method: string, path: string, body?: unknown, key?: string | null) => Promise<Answer>;
  /** Like `ask` for a request that must succeed; returns the answer's JSON. */
  readonly get: <T>(shape: { parse: (value: unknown) => T }, path: string) => Promise<T>;
  readonly make: <T>(shape: { parse: (value: unknown) => T }, path: string, body?: unknown) => Promise<T>;
  readonly worker: ReturnType<typeof createTestHarness>;
}

/** The deployed Worker in a real workerd, which runs until the test file ends. */
export function startCloud(secret = adminSecret, more: Readonly<Record<string, string>> = {}): Cloud {
  const worker = createTestHarness({
    workers: [
      { configPath: join(import.meta.dirname, "../../wrangler.toml"), secrets: { ADMIN_SECRET: secret, ...more } },
    ],
  });
  let url = "";
  beforeAll(async () => {
    url = (await worker.listen()).url.origin;
  });
  afterAll(() => worker.close());

  const ask: Cloud["ask"] = async (method, path, body, key = secret) => {
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(key !== null && { authorization: `Bearer ${key}` }),
        ...(body !== undefined && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: parse(text) };
  };
  const good = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    let answer = await ask(method, path, body);
    // The proxy before workerd may reuse a connection that was closed with the refusal of a large body.
    if (answer.status === 500 && answer.text.includes("Network connection lost"))
      answer = await ask(method, path, body);
    const { status, text, json } = answer;
    if (status >= 300) throw new Error(`${method} ${path} answered ${status}: ${text}`);
    return json;
  };
  return {
    url: () => url,
    ask,
    get: async (shape, path) => shape.parse(await good("GET", path)),
    make: async (shape, path, body = {}) => shape.parse(await good("POST", path, body)),
    worker,
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
