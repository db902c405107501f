import { createServer } from "node:http";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { startAgent, type Agent } from "../../runtimes/node/agent.ts";
import { toNodeListener } from "../../runtimes/node/listener.ts";
import { readSettings } from "../../runtimes/node/settings.ts";
import { service, target } from "./on-the-device.ts";
import { startAgent as startProgram } from "./program.ts";
import { rawClient } from "./raw-client.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** Which requests the agent's addresses accept and which they refuse, as bytes on real sockets. */

const silent = { info: () => {}, warn: () => {}, error: () => {} };

interface Running extends Agent {
  readonly port: number;
  /** Sends bytes and reads the complete answer: the status, the head in lower case, and the body. */
  readonly ask: (request: string, host?: string) => Promise<Said>;
}

interface Said {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

async function running(args: readonly string[] = [], config?: Record<string, string>): Promise<Running> {
  const folder = await temporaryFolder();
  const folders = ["--state-dir", join(folder, "state"), "--host-root", folder];
  const settings = readSettings(["--engine", "embedded", "--port", "0", "--iptables", "no", ...folders, ...args], {});
  const agent = await startAgent({ ...settings, ...(config && { config }) }, silent);
  onTestFinished(() => agent.stop());
  const port = Number(new URL(agent.url).port);
  return {
    ...agent,
    port,
    ask: async (request, host) => {
      const all = await (await rawClient(port, request.replaceAll("PORT", String(port)), host)).all();
      const end = all.indexOf("\r\n\r\n");
      const [, status] = /^HTTP\/1\.1 (\d+)/.exec(all) ?? [];
      return { status: Number(status), head: all.slice(0, end).toLowerCase(), body: all.slice(end + 4) };
    },
  };
}

/** A request with `Connection: close`. */
const http = (line: string, headers: readonly string[], body = ""): string =>
  [
    `${line} HTTP/1.1`,
    ...headers,
    "Connection: close",
    ...(body ? [`Content-Length: ${Buffer.byteLength(body)}`] : []),
    "",
    body,
  ].join("\r\n");

const managed = { apiEndpoint: "http://127.0.0.1:1", uuid: "0".repeat(32), deviceApiKey: "key" };
const privileged = JSON.stringify(target([service("one", 1, { privileged: true })]));
const containers = async ({ supervisor }: Agent) => (await supervisor.loop.look()).current.containers.length;

describe("a web page", () => {
  const browser = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
  const foreign = [browser, "Origin: http://evil.example"];
  const own = "Host: 127.0.0.1:PORT";

  test("of another origin cannot create a container, by a form or otherwise", async () => {
    const agent = await running();
    for (const headers of [
      [own, ...foreign, "Content-Type: application/x-www-form-urlencoded"],
      [own, ...foreign, "Content-Type: text/plain"],
      [own, ...foreign, "Content-Type: application/json"],
      [own, browser, "Origin: null", "Content-Type: application/json"],
      [own, browser, "Sec-Fetch-Site: cross-site", "Content-Type: application/json"],
      [own, browser, "Origin: http://127.0.0.1:8080", "Content-Type: application/json"],
    ])
      expect((await agent.ask(http("POST /v2/local/target-state", headers, privileged))).status).toBe(403);
    // An old browser sends only its User-Agent.
    const form = "local%5Bapps%5D%5B1%5D%5Bname%5D=x&local%5Bapps%5D%5B1%5D%5BreleaseId%5D=1";
    const old = [own, browser, "Content-Type: application/x-www-form-urlencoded"];
    expect((await agent.ask(http("POST /v2/local/target-state", old, form))).status).toBe(415);
    expect(await containers(agent)).toBe(0);
    expect(agent.supervisor.targets.current().apps).toEqual([]);
  });

  test("whose name was rebound to the device can neither read nor write", async () => {
    const agent = await running();
    const rebound = ["Host: evil.example:PORT", browser];
    for (const line of ["GET /v1/device", "GET /v2/local/target-state", "GET /v2/cleanup-volumes", "HEAD /ping"])
      expect((await agent.ask(http(line, rebound))).status).toBe(421);
    const posting = [...rebound, "Origin: http://evil.example:PORT", "Content-Type: application/json"];
    const { status, body, head } = await agent.ask(http("POST /v2/local/target-state", posting, privileged));
    expect([status, JSON.parse(body)]).toEqual([
      421,
      {
        status: "failed",
        message:
          "This device needs no key, so it must be reached by an address or a local name, but the request is for evil.example. To allow this name, start the agent with --allow-host evil.example (or FAIRLEAD_ALLOW_HOST)",
      },
    ]);
    expect(head).not.toContain("access-control");
    expect(await containers(agent)).toBe(0);
  });

  test("of the device's own origin can do all that", async () => {
    const agent = await running();
    const headers = [own, browser, "Origin: http://127.0.0.1:PORT", "Content-Type: application/json"];
    expect((await agent.ask(http("POST /v2/local/target-state", headers, privileged))).status).toBe(200);
  });

  test("of another origin is refused on a managed device too, and even with a key", async () => {
    const agent = await running([], managed);
    const key = `Authorization: Bearer ${agent.supervisor.keys.global()}`;
    expect((await agent.ask(http("GET /v1/device", [own, key]))).status).toBe(200);
    expect((await agent.ask(http("GET /v1/device", [own, key, ...foreign]))).status).toBe(403);
    expect((await agent.ask(http("GET /v1/device", ["Host: device.example.com", key]))).status).toBe(200);
    expect((await agent.ask(http("GET /v1/device", ["Host: device.example.com"]))).status).toBe(401);
  });
});

describe("the guard does not affect", () => {
  test("any request of balena-cli", async () => {
    const agent = await running();
    const common = ["Host: 127.0.0.1:PORT", "accept: */*", "accept-encoding: compress, gzip", "user-agent: node"];
    // balena-cli with a login sends the cloud's token to the device.
    for (const headers of [common, [...common, "Authorization: Bearer eyJ0.cloud-token.x"]]) {
      for (const path of [
        "/ping",
        "/v2/version",
        "/v2/local/device-info",
        "/v2/local/target-state",
        "/v2/state/status",
      ])
        expect([path, (await agent.ask(http(`GET ${path}`, headers))).status]).toEqual([path, 200]);
      const read = JSON.parse((await agent.ask(http("GET /v2/local/target-state", headers))).body).state;
      read.local.apps = Object(JSON.parse(privileged)).local.apps;
      const posting = [...headers, "content-type: application/json"];
      const posted = await agent.ask(http("POST /v2/local/target-state", posting, JSON.stringify(read)));
      expect([posted.status, JSON.parse(posted.body)]).toEqual([200, { status: "success", message: "OK" }]);
      await expect
        .poll(async () => (await agent.ask(http("GET /v2/containerId?serviceName=one", headers))).status, {
          timeout: 20_000,
        })
        .toBe(200);
    }
    const logs = await rawClient(
      agent.port,
      `GET /v2/local/logs HTTP/1.1\r\nHost: 127.0.0.1:${agent.port}\r\nuser-agent: node-fetch/1.0\r\naccept-encoding: gzip, deflate\r\n\r\n`,
    );
    await logs.until("Streaming logs");
  });

  test("curl, with or without a content type", async () => {
    const agent = await running();
    const curl = ["User-Agent: curl/8.5.0", "Accept: */*"];
    for (const host of ["127.0.0.1:PORT", "localhost:PORT", "LOCALHOST:PORT", "raspberrypi.local:PORT", "[::1]:PORT"])
      expect((await agent.ask(http("GET /v1/device", [`Host: ${host}`, ...curl]))).status).toBe(200);
    const types = [["Content-Type: application/json"], ["Content-Type: application/x-www-form-urlencoded"], []];
    const sent = async (type: readonly string[], line: string, body: string) =>
      (await agent.ask(http(line, ["Host: 127.0.0.1:PORT", ...curl, ...type], body))).status;
    for (const type of types) {
      expect(await sent(type, "POST /v1/update", type.length > 0 && type[0]?.endsWith("json") ? "{}" : "force=1")).toBe(
        204,
      );
      expect(await sent(type, "POST /v1/blink", "")).not.toBe(403);
    }
    // It is parsed as a form and refused for its content, not for its type.
    const form = "local[name]=x";
    const said = await agent.ask(
      http("POST /v2/local/target-state", ["Host: 127.0.0.1:PORT", ...curl, ...(types[1] ?? [])], form),
    );
    expect([said.status, said.body]).toEqual([400, expect.stringContaining("local.apps: expected")]);
    const patch = await agent.ask(
      http("PATCH /v1/device/host-config", ["Host: 127.0.0.1:PORT", ...curl, ...(types[1] ?? [])], "network[force]=1"),
    );
    expect([patch.status, patch.body]).toEqual([200, "OK"]);
  });

  test("a container on another address, with its key", async () => {
    const agent = await running(["--listen", "127.0.0.2"], managed);
    const key = agent.supervisor.keys.global();
    const headers = ["Host: 127.0.0.2:PORT", "User-Agent: python-requests/2.31", "Accept: */*"];
    expect((await agent.ask(http("GET /v1/device", headers), "127.0.0.2")).status).toBe(401);
    expect((await agent.ask(http(`GET /v1/device?apikey=${key}`, headers), "127.0.0.2")).status).toBe(200);
    const form = [...headers, `Authorization: Bearer ${key}`, "Content-Type: application/x-www-form-urlencoded"];
    expect((await agent.ask(http("POST /v1/update", form, "force=true"), "127.0.0.2")).status).toBe(204);
    const open = await running(["--listen", "127.0.0.2"]);
    expect((await open.ask(http("GET /v1/device?apikey=any", headers), "127.0.0.2")).status).toBe(200);
    const evil = http("GET /v1/device", ["Host: evil.example"]);
    expect((await open.ask(evil, "127.0.0.2")).status).toBe(421);
  });

  test("HTTP/1.0, with or without a Host header", async () => {
    const agent = await running();
    for (const host of ["", "Host: 127.0.0.1:PORT\r\n", "Host:\r\n"]) {
      const { status, body } = await agent.ask(`GET /ping HTTP/1.0\r\n${host}\r\n`);
      expect([status, body]).toEqual([200, "OK"]);
    }
    expect((await agent.ask("GET /ping HTTP/1.0\r\nHost: evil.example\r\n\r\n")).status).toBe(421);
    expect((await agent.ask("GET /ping HTTP/1.0\r\nOrigin: http://evil.example\r\n\r\n")).status).toBe(403);
  });

  test("a request that follows a refused one on the same connection", async () => {
    const agent = await running();
    const lines = (headers: string) => `GET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\n${headers}\r\n`;
    const all = await agent.ask(
      lines("") +
        lines("Origin: http://evil.example\r\n") +
        lines("").replace("127.0.0.1", "evil.example") +
        lines("Connection: close\r\n"),
    );
    const statuses = `${all.head}\r\n\r\n${all.body}`.match(/http\/1\.1 \d+/gi)?.map((line) => line.slice(-3));
    expect(statuses).toEqual(["200", "403", "421", "200"]);
  });
});

describe("the host of a request:", () => {
  test.each<[string, string, number]>([
    ["the host of an absolute target counts", http("GET http://127.0.0.1:PORT/ping", ["Host: evil.example"]), 200],
    ["and not the Host header", http("GET http://evil.example/ping", ["Host: 127.0.0.1:PORT"]), 421],
    ["also with a name before an @", http("GET http://127.0.0.1@evil.example/ping", ["Host: 127.0.0.1"]), 421],
    ["a name before an @ is none of the host", http("GET http://evil.example@127.0.0.1/ping", ["Host: a"]), 200],
    ["no Host header has an @", http("GET /ping", ["Host: 127.0.0.1@evil.example"]), 400],
    ["nor the other way round", http("GET /ping", ["Host: evil.example@127.0.0.1:PORT"]), 400],
    ["there is one Host header", http("GET /ping", ["Host: 127.0.0.1", "Host: evil.example"]), 400],
    ["and no second one alike", http("GET /ping", ["Host: 127.0.0.1", "host: 127.0.0.1"]), 400],
    ["HTTP/1.1 has one", http("GET /ping", []), 400],
    ["it may be empty", http("GET /ping", ["Host:"]), 200],
    ["it may end with a dot", http("GET /ping", ["Host: localhost.:PORT"]), 200],
    ["which changes nothing", http("GET /ping", ["Host: evil.example.:PORT"]), 421],
    ["upper case neither", http("GET /ping", ["Host: EVIL.EXAMPLE"]), 421],
    ["its port does not matter", http("GET /ping", ["Host: device.lan:1"]), 200],
    ["IPv6 stands in brackets", http("GET /ping", ["Host: [fd00::7]"]), 200],
    ["and not without", http("GET /ping", ["Host: fd00::7"]), 400],
    ["numbers with dots are an address or nothing", http("GET /ping", ["Host: 1.2.3.4.5"]), 400],
  ])("%s", async (_, request, status) => {
    expect((await (await running()).ask(request)).status).toBe(status);
  });
});

describe("--allow-origin and --allow-host", () => {
  const origin = "http://panel.example:8080";

  test("allow only the origins and hosts that they name", async () => {
    const agent = await startProgram(await temporaryFolder(), {
      args: ["--allow-host", "device.example, other.example"],
      environment: { FAIRLEAD_ALLOW_ORIGIN: `${origin},https://panel.example` },
    });
    const port = Number(new URL(agent.url).port);
    const ask = async (request: string) => (await rawClient(port, request)).all();
    const body = JSON.stringify(target([service("one", 1)]));
    const page = ["Host: 127.0.0.1", "User-Agent: Mozilla/5.0", "Sec-Fetch-Site: cross-site"];

    const preflight = await ask(
      http("OPTIONS /v2/local/target-state", [
        ...page,
        `Origin: ${origin}`,
        "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: authorization,content-type",
        "Access-Control-Request-Private-Network: true",
      ]),
    );
    expect(preflight).toMatch(/^HTTP\/1\.1 204 /);
    expect(preflight.toLowerCase()).toContain(`\r\naccess-control-allow-origin: ${origin}\r\n`);
    expect(preflight.toLowerCase()).not.toContain("credentials");
    const json = "Content-Type: application/json";
    const posted = await ask(http("POST /v2/local/target-state", [...page, `Origin: ${origin}`, json], body));
    expect(posted).toMatch(/^HTTP\/1\.1 200 /);
    expect(posted.toLowerCase()).toContain(`\r\naccess-control-allow-origin: ${origin}\r\n`);
    expect(posted.toLowerCase()).toContain("\r\nvary: origin\r\n");

    const other = http("POST /v2/local/target-state", [...page, "Origin: http://panel.example", json], body);
    expect(await ask(other)).toMatch(/^HTTP\/1\.1 403 /);
    for (const [host, status] of [
      ["device.example", 200],
      ["Other.example:80", 200],
      ["panel.example", 421],
    ])
      expect(await ask(http("GET /v1/device", [`Host: ${host}`]))).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });
});

test("a program that embeds the agent decides itself which requests to allow", async () => {
  const agent = await running();
  const page = { headers: { host: "evil.example", origin: "http://evil.example", "sec-fetch-site": "cross-site" } };
  expect((await agent.fetch(new Request("http://evil.example/v1/device", page))).status).toBe(200);
  const server = createServer(toNodeListener(agent.fetch));
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const client = await rawClient(port, http("GET /v1/device", ["Host: evil.example", "Origin: http://other.example"]));
  expect(await client.all()).toMatch(/^HTTP\/1\.1 200 /);
});
