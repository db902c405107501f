import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Credentials } from "../../core/model/image.ts";
import { askRegistry, dockerCredentials } from "../../runtimes/cli/compose/registry.ts";

const index = JSON.stringify({
  manifests: [
    { platform: { os: "linux", architecture: "amd64" } },
    { platform: { os: "linux", architecture: "arm64", variant: "v8" } },
    { platform: { os: "unknown", architecture: "unknown" } },
  ],
});
const digest = `sha256:${"a".repeat(64)}`;

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
}
type Answer = { status: number; body?: string; headers?: Record<string, string> };

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  vi.unstubAllEnvs();
});

/** A registry on this machine that answers as it is told, and what it was asked. */
async function registry(answer: (asked: Asked, host: string) => Answer) {
  const asked: Asked[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    const one = { method: request.method ?? "", path: request.url ?? "", authorization: request.headers.authorization };
    asked.push(one);
    const { status, body = "", headers = {} } = answer(one, host);
    response.writeHead(status, headers).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const host = `127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
  closing.push(() => new Promise((resolve) => server.close(() => resolve())));
  return { host, asked };
}

const ask = (name: string, known?: Credentials) =>
  askRegistry(name, { fetch, credentials: async () => known, timeoutMs: 5000 });

const found = { status: 200, body: index, headers: { "docker-content-digest": digest } };

describe("an image in a registry", () => {
  test("is known by the digest of its index, and the platforms in it", async () => {
    const { host, asked } = await registry(() => found);
    expect(await ask(`${host}/team/web:1.2`)).toEqual({
      is: "found",
      digest,
      platforms: [
        { os: "linux", architecture: "amd64" },
        { os: "linux", architecture: "arm64", variant: "v8" },
      ],
    });
    expect(asked.map(({ path }) => path)).toEqual(["/v2/team/web/manifests/1.2"]);
  });

  test("for one platform says in its configuration for which", async () => {
    const { host } = await registry(({ path }) =>
      path.includes("/blobs/")
        ? { status: 200, body: JSON.stringify({ os: "linux", architecture: "arm", variant: "v7" }) }
        : { status: 200, body: JSON.stringify({ config: { digest: "sha256:c" } }) },
    );
    expect(await ask(`${host}/web:1`)).toEqual({
      is: "found",
      // Of the manifest, which the registry does not tell.
      digest: expect.stringMatching(/^sha256:[\da-f]{64}$/),
      platforms: [{ os: "linux", architecture: "arm", variant: "v7" }],
    });
  });

  test("is asked for by digest, if the name has one", async () => {
    const { host, asked } = await registry(() => found);
    await ask(`${host}/web@${digest}`);
    expect(asked[0]?.path).toBe(`/v2/web/manifests/${digest}`);
  });

  test("that is not there is missing", async () => {
    const { host } = await registry(() => ({ status: 404 }));
    expect(await ask(`${host}/web:1`)).toEqual({ is: "missing" });
  });
});

describe("a registry that asks for credentials", () => {
  const known = { username: "me", password: "secret" };
  const basic = `Basic ${Buffer.from("me:secret").toString("base64")}`;

  test("by a token gets one for what it says", async () => {
    const { host, asked } = await registry(({ path, authorization }, self) =>
      path.startsWith("/token")
        ? { status: authorization === basic ? 200 : 401, body: '{"token":"t"}' }
        : authorization === "Bearer t"
          ? found
          : {
              status: 401,
              headers: {
                "www-authenticate": `Bearer realm="http://${self}/token",service="r",scope="repository:web:pull"`,
              },
            },
    );
    expect(await ask(`${host}/web:1`, known)).toMatchObject({ is: "found" });
    expect(asked[1]?.path).toBe("/token?service=r&scope=repository%3Aweb%3Apull");
    expect(await ask(`${host}/web:1`)).toMatchObject({ is: "denied" });
  });

  test("by name and password gets them", async () => {
    const { host } = await registry(({ authorization }) =>
      authorization === basic ? found : { status: 401, headers: { "www-authenticate": 'Basic realm="r"' } },
    );
    expect(await ask(`${host}/web:1`, known)).toMatchObject({ is: "found" });
    expect(await ask(`${host}/web:1`)).toEqual({
      is: "denied",
      reason: `${host} answers 401: log in with docker login`,
    });
  });

  test("and sends for a token to a foreign address without TLS gets no password there", async () => {
    const { host } = await registry(() => ({
      status: 401,
      headers: { "www-authenticate": 'Bearer realm="http://token.example/t"' },
    }));
    const sent: (string | null)[] = [];
    const spy: typeof fetch = async (input, init) => {
      if (String(input).startsWith("http://token.example")) {
        sent.push(new Headers(init?.headers).get("authorization"));
        return new Response(null, { status: 401 });
      }
      return fetch(input, init);
    };
    await askRegistry(`${host}/web:1`, { fetch: spy, credentials: async () => known, timeoutMs: 5000 });
    expect(sent).toEqual([null]);
  });
});

test("a registry that does not answer is unreachable, with the reason", async () => {
  expect(await ask("127.0.0.1:9/web:1")).toEqual({
    is: "unreachable",
    reason: expect.stringMatching(/fetch failed|bad port/),
  });
});

test.each(["manifests", "blobs", "token"])(
  "an answer of more than 4 MiB for %s is not read to its end",
  async (part) => {
    const { host } = await registry(({ path, authorization }, self) => {
      if (path.includes(part)) return { status: 200, body: " ".repeat(5 * 1024 * 1024) };
      if (part === "token" && authorization === undefined)
        return { status: 401, headers: { "www-authenticate": `Bearer realm="http://${self}/token"` } };
      return { status: 200, body: JSON.stringify({ config: { digest: "sha256:c" } }) };
    });
    expect(await ask(`${host}/web:1`)).toEqual({
      is: "unreachable",
      reason: `${host} answers with more than 4194304 bytes, where a manifest was expected`,
    });
  },
);

describe("the credentials of docker login", () => {
  function folderWith(config: object): string {
    const folder = mkdtempSync(join(tmpdir(), "fairlead-docker-"));
    closing.push(async () => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    const helper = join(folder, "docker-credential-test");
    writeFileSync(
      helper,
      '#!/bin/sh\nread -r server\n[ "$server" = none.example ] && exit 1\necho "{\\"Username\\":\\"u\\",\\"Secret\\":\\"of $server\\"}"\n',
    );
    chmodSync(helper, 0o755);
    vi.stubEnv("PATH", `${folder}${delimiter}${process.env["PATH"]}`);
    return folder;
  }
  const auth = Buffer.from("file:kept").toString("base64");

  test("come from the helper of the registry", async () => {
    const folder = folderWith({ credHelpers: { "a.example": "test" }, auths: { "b.example": { auth } } });
    expect(await dockerCredentials("a.example", folder)).toEqual({ username: "u", password: "of a.example" });
    expect(await dockerCredentials("b.example", folder)).toEqual({ username: "file", password: "kept" });
    expect(await dockerCredentials("c.example", folder)).toBeUndefined();
  });

  test("come from the store, else from the file", async () => {
    const folder = folderWith({ credsStore: "test", auths: { "none.example": { auth } } });
    expect(await dockerCredentials(undefined, folder)).toEqual({
      username: "u",
      password: "of https://index.docker.io/v1/",
    });
    expect(await dockerCredentials("none.example", folder)).toEqual({ username: "file", password: "kept" });
  });

  test("are none where a helper is missing, or named like a path", async () => {
    const folder = folderWith({ credHelpers: { "a.example": "absent", "b.example": "../../bin/sh" } });
    expect(await dockerCredentials("a.example", folder)).toBeUndefined();
    expect(await dockerCredentials("b.example", folder)).toBeUndefined();
  });
});
