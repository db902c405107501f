import { createServer } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import { systemClock } from "../../core/ports/clock.ts";
import type { Probe } from "../../core/ports/probe.ts";
import { httpProbe } from "../../runtimes/node/http-probe.ts";
import { specOf } from "../support/specs.ts";

/** The promises of `Probe` in `core/ports/`. */

interface Bench {
  readonly probe: Probe;
  /** Where a program answers each path with the status in it. */
  readonly url: string;
  /** Where no program listens. */
  readonly deaf: string;
}

const never = new AbortController().signal;
const statusIn = (path: string) => Number(path.slice(1, 4));

async function embedded(): Promise<Bench> {
  const status = (port: number, path: string) => (port === 8080 ? statusIn(path) : undefined);
  const engine = new EmbeddedEngine({ clock: systemClock, program: () => ({ status }) });
  const imageId = engine.addImage("web:1");
  const image = { id: imageId, config: await engine.imageConfig(imageId) };
  const id = await engine.createContainer("web_1_1_c", specOf({ network_mode: "bridge" }, { image }));
  await engine.startContainer(id);
  const address = (await engine.look()).containers[0]?.addresses["bridge"] ?? "";
  return { probe: engine.probe, url: `http://${address}:8080`, deaf: `http://${address}:8081` };
}

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function http(): Promise<Bench> {
  const url = await listening(
    createServer(({ url: path = "" }, response) =>
      response.writeHead(statusIn(path), { location: `http://127.0.0.1:1/` }).end("body"),
    ),
  );
  return { probe: httpProbe, url, deaf: "http://127.0.0.1:1" };
}

describe.each([
  ["embedded", embedded],
  ["node:http", http],
])("probe: %s", (_, make) => {
  test.each([200, 204, 302, 404, 503])("an answer with %i is read, and not followed", async (status) => {
    const { probe, url } = await make();
    expect(await probe.get(`${url}/${status}?a=b`, never)).toEqual({ status });
  });

  test("a port on which nothing listens is an error", async () => {
    const { probe, deaf } = await make();
    expect(await probe.get(`${deaf}/200`, never)).toEqual({ error: "refuses the connection" });
  });
});

describe("over a real network", () => {
  /** A program that treats each connection so. */
  const serving = (serve: (socket: Socket) => void) =>
    listening(
      createTcpServer((socket) => {
        socket.on("error", () => {});
        serve(socket);
      }),
    );

  test("the body is not read, and the connection is closed", async () => {
    const closed = Promise.withResolvers<void>();
    const url = await serving((socket) => {
      socket.on("close", () => closed.resolve());
      // It would go on for ever.
      const write = () => {
        while (socket.write(Buffer.alloc(65_536)));
      };
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 99999999999\r\n\r\n");
        socket.on("drain", write);
        write();
      });
    });
    expect(await httpProbe.get(url, never)).toEqual({ status: 200 });
    await closed.promise;
  });

  test("a program that says nothing is waited for a second", async () => {
    const url = await serving(() => {});
    expect(await httpProbe.get(url, never)).toEqual({ error: "does not answer within 1 s" });
  });

  test("a program that never ends its first line, likewise", async () => {
    const url = await serving((socket) => {
      const timer = setInterval(() => socket.write("a"), 20);
      socket.write("HTTP/1.1 200 ");
      socket.on("close", () => clearInterval(timer));
    });
    expect(await httpProbe.get(url, never)).toEqual({ error: "does not answer within 1 s" });
  });

  test.each<[string, string]>([
    ["", "closes the connection without an answer"],
    ["SSH-2.0-OpenSSH_9\r\n", "does not answer HTTP (HPE_INVALID_CONSTANT)"],
    [`HTTP/1.1 200 OK\r\na: ${"x".repeat(99_999)}\r\n\r\n`, "does not answer HTTP (HPE_HEADER_OVERFLOW)"],
  ])("what is not HTTP is an error (%#)", async (text, error) => {
    const url = await serving((socket) => socket.once("data", () => socket.end(text)));
    expect(await httpProbe.get(url, never)).toEqual({ error });
  });

  test("an upgrade to another protocol is refused", async () => {
    const url = await serving((socket) =>
      socket.once("data", () =>
        socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
      ),
    );
    expect(await httpProbe.get(url, never)).toEqual({ error: "answers in another protocol" });
  });

  test("whoever asks can end it", async () => {
    const url = await serving(() => {});
    const end = new AbortController();
    const result = httpProbe.get(url, end.signal);
    end.abort();
    expect(await result).toHaveProperty("error");
    expect(await httpProbe.get(url, end.signal)).toHaveProperty("error");
  });
});
