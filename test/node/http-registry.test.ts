import { createServer } from "node:http";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { platformsOf } from "../../core/model/architecture.ts";
import type { PullRequest } from "../../core/ports/engine.ts";
import { HttpRegistry } from "../../runtimes/node/engine/http-registry.ts";
import { temporaryFolder } from "./temporary-folder.ts";

interface Asked {
  readonly path: string;
  readonly authorization: string | undefined;
}
interface Answer {
  readonly status?: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const closing: (() => Promise<void>)[] = [];
beforeEach(async () => vi.stubEnv("DOCKER_CONFIG", await temporaryFolder()));
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const close of closing.splice(0)) await close();
});

/** A registry on this machine that answers as it is told, and what it was asked. */
async function registry(answer: (asked: Asked, host: string) => Answer | undefined) {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const one = { path: request.url ?? "", authorization: request.headers.authorization };
    asked.push(one);
    const { status = 200, body = "", headers = {} } = answer(one, host) ?? { status: 404 };
    response.writeHead(status, headers).end(typeof body === "string" ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const host = `127.0.0.1:${typeof address === "object" && address ? address.port : 0}`;
  closing.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return { host, asked };
}

const ask = (image: PullRequest, arch = "amd64", signal = AbortSignal.timeout(5000)) =>
  new HttpRegistry().manifest(image, platformsOf(arch), signal);

const layers = [
  { digest: "sha256:aa", size: 1000 },
  { digest: "sha256:bb", size: 20 },
];
const manifest = { config: { digest: "sha256:cc" }, layers };
const config = { architecture: "amd64", os: "linux", rootfs: { diff_ids: ["sha256:1a", "sha256:1b"] } };
const known = {
  is: "known",
  layers: [
    { bytes: 1000, diffId: "sha256:1a" },
    { bytes: 20, diffId: "sha256:1b" },
  ],
  architecture: "amd64",
};

const plain = ({ path }: Asked): Answer | undefined =>
  path === "/v2/web/manifests/1"
    ? { body: manifest }
    : path === "/v2/web/blobs/sha256:cc"
      ? { body: config }
      : undefined;

describe("a registry tells", () => {
  test("the layers of an image, and its architecture", async () => {
    const { host } = await registry(plain);
    expect(await ask({ name: `${host}/web:1` })).toEqual(known);
  });

  const index = {
    manifests: [
      { digest: "sha256:e0", platform: { os: "unknown", architecture: "unknown" } },
      { digest: "sha256:e6", platform: { os: "linux", architecture: "arm", variant: "v6" } },
      { digest: "sha256:e7", platform: { os: "linux", architecture: "arm", variant: "v7" } },
      { digest: "sha256:e8", platform: { os: "linux", architecture: "arm64", variant: "v8" } },
    ],
  };

  test.each([
    ["aarch64", "sha256:e8"],
    ["armv7hf", "sha256:e7"],
    ["rpi", "sha256:e6"],
  ])("of the image for %s, where there are several", async (arch, digest) => {
    const { host, asked } = await registry(({ path }) =>
      path.endsWith("/manifests/1")
        ? { body: index }
        : path.includes("/blobs/")
          ? { body: config }
          : { body: manifest },
    );
    expect(await ask({ name: `${host}/web:1` }, arch)).toEqual(known);
    expect(asked.map(({ path }) => path)).toContain(`/v2/web/manifests/${digest}`);
  });

  test("that it has an image only for other machines", async () => {
    const { host } = await registry(() => ({ body: index }));
    expect(await ask({ name: `${host}/web:1` })).toEqual({ is: "foreign", architectures: ["arm", "arm64"] });
  });

  test("nothing about an index, if the device's architecture is not known", async () => {
    const { host } = await registry(() => ({ body: index }));
    expect(await ask({ name: `${host}/web:1` }, "riscv64")).toMatchObject({ is: "unknown" });
  });
});

describe("credentials", () => {
  const basic = `Basic ${Buffer.from("d_1:secret").toString("base64")}`;
  const image = (host: string): PullRequest => ({
    name: `${host}/web:1`,
    fallback: { username: "d_1", password: "secret" },
  });

  test("get a token for the repository", async () => {
    const { host, asked } = await registry((one, self) => {
      if (one.path.startsWith("/token"))
        return one.authorization === basic ? { body: { token: "t" } } : { status: 401 };
      const realm = `Bearer realm="http://${self}/token",service="r",scope="repository:web:pull"`;
      return one.authorization === "Bearer t" ? plain(one) : { status: 401, headers: { "www-authenticate": realm } };
    });
    expect(await ask(image(host))).toEqual(known);
    expect(asked.map(({ path }) => path.split("?")[0])).toEqual([
      "/v2/web/manifests/1",
      "/token",
      "/v2/web/manifests/1",
      "/v2/web/blobs/sha256:cc",
    ]);
  });

  const challenge = { status: 401, headers: { "www-authenticate": 'Basic realm="r"' } };

  test("do not follow a redirect to another host", async () => {
    const store = await registry(() => ({ body: config }));
    const { host } = await registry((one) =>
      one.authorization !== basic
        ? challenge
        : one.path.includes("/blobs/")
          ? { status: 307, headers: { location: `https://${store.host}/blob` } }
          : plain(one),
    );
    const sent: [string, string | null][] = [];
    const real = fetch;
    vi.stubGlobal("fetch", (input: URL, init: RequestInit) => {
      sent.push([input.href.replace(/:\d+/, ""), new Headers(init.headers).get("authorization")]);
      return real(input.protocol === "https:" ? `http://${store.host}/blob` : input, init);
    });
    closing.push(async () => void vi.unstubAllGlobals());
    expect(await ask(image(host))).toEqual(known);
    expect(sent.slice(-2)).toEqual([
      ["http://127.0.0.1/v2/web/blobs/sha256:cc", basic],
      ["https://127.0.0.1/blob", null],
    ]);
  });

  test("that are refused are in no reason", async () => {
    const { host } = await registry(() => challenge);
    expect(await ask(image(host))).toEqual({ is: "unknown", reason: `${host} answers 401` });
  });
});

describe("nothing is known, and why,", () => {
  test.each<[string, (asked: Asked, host: string) => Answer | undefined, RegExp]>([
    ["of a missing image", () => undefined, /answers 404/],
    ["of an answer that is no JSON", () => ({ body: "<html>" }), /JSON/],
    ["of an answer that is something else", () => ({ body: { schemaVersion: 1 } }), /answers with something else/],
    ["of a negative size", () => ({ body: { ...manifest, layers: [{ digest: "sha256:aa", size: -5 }] } }), /something/],
    ["of a digest that is a path", () => ({ body: { ...manifest, config: { digest: "../../x" } } }), /something else/],
    ["of an endless answer", () => ({ body: " ".repeat(5 * 1024 * 1024) }), /more than 4194304 bytes/],
    [
      "of fewer layers than there are",
      ({ path }) =>
        path.includes("/blobs/") ? { body: { ...config, rootfs: { diff_ids: ["sha256:1a"] } } } : { body: manifest },
      /layers of an unknown kind/,
    ],
    [
      "of a redirect to a host without TLS",
      () => ({ status: 302, headers: { location: "http://169.254.169.254/latest" } }),
      /redirects to 169.254.169.254 without TLS/,
    ],
    ["of endless redirects", ({ path }) => ({ status: 302, headers: { location: path } }), /more than 3 times/],
  ])("%s", async (_, answer, reason) => {
    const { host } = await registry(answer);
    expect(await ask({ name: `${host}/web:1` })).toEqual({ is: "unknown", reason: expect.stringMatching(reason) });
  });

  test("of a registry that is not there, or does not answer in time", async () => {
    expect(await ask({ name: "127.0.0.1:9/web:1" })).toMatchObject({ is: "unknown" });
    const server = await registry(() => ({ status: 200 }));
    expect(await ask({ name: `${server.host}/web:1` }, "amd64", AbortSignal.abort())).toMatchObject({ is: "unknown" });
  });
});
