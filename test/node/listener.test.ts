import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { describe, expect, onTestFinished, test } from "vitest";
import { Listener, toNodeListener, type ListenerLimits } from "../../runtimes/node/listener.ts";
import { eventually, get, rawClient } from "./raw-client.ts";

type Answer = (request: Request) => Promise<Response>;

const encoder = new TextEncoder();
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function withListener(answer: Answer): Promise<number> {
  const listener = new Listener(answer, 0);
  onTestFinished(() => listener.close());
  await listener.listen("127.0.0.1");
  return listener.port;
}

async function withServerOfOnesOwn(answer: Answer): Promise<number> {
  const server: Server = createServer((request, response) => void toNodeListener(answer)(request, response));
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("It does not listen");
  return (address satisfies AddressInfo).port;
}

/** A stream that the test writes to. It records whether its reader has cancelled. */
function handStream() {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let cancelled = false;
  const stream = new ReadableStream<Uint8Array>({
    start: (given) => void (controller = given),
    cancel: () => void (cancelled = true),
  });
  return {
    stream,
    write: (text: string) => controller?.enqueue(encoder.encode(text)),
    end: () => controller?.close(),
    fail: (error: Error) => controller?.error(error),
    wasCancelled: () => cancelled,
  };
}

describe.each([
  ["the listener", withListener],
  ["a server of one's own", withServerOfOnesOwn],
])("through %s", (_, serve) => {
  test("requests and answers keep method, headers, status and body", async () => {
    const port = await serve(async (request) => {
      const { pathname, searchParams } = new URL(request.url);
      return Response.json(
        {
          method: request.method,
          pathname,
          query: searchParams.getAll("q"),
          header: request.headers.get("x-sent"),
          body: await request.text(),
        },
        { status: 418, headers: { "x-answer": "tea", etag: 'W/"1"' } },
      );
    });
    const response = await fetch(`http://127.0.0.1:${port}/v1/a%20b?q=1&q=ü`, {
      method: "PATCH",
      headers: { "x-sent": "yes" },
      body: "schön",
    });
    expect([response.status, response.headers.get("x-answer"), response.headers.get("etag")]).toEqual([
      418,
      "tea",
      'W/"1"',
    ]);
    expect(await response.json()).toEqual({
      method: "PATCH",
      pathname: "/v1/a%20b",
      query: ["1", "ü"],
      header: "yes",
      body: "schön",
    });
  });

  test("a large body arrives complete in both directions", async () => {
    const port = await serve(async (request) => new Response(await request.arrayBuffer()));
    const sent = crypto.getRandomValues(new Uint8Array(65_536));
    const large = Buffer.concat(Array.from({ length: 100 }, () => sent));
    const response = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: large });
    expect(Buffer.from(await response.arrayBuffer()).equals(large)).toBe(true);
  });

  test("each chunk of a stream is sent when it is written, also after a pause", async () => {
    const { stream, write, end } = handStream();
    const port = await serve(() => Promise.resolve(new Response(stream)));
    const client = await rawClient(port, get("/"));
    write("first\n");
    expect(await client.until("first\n")).toMatch(/^HTTP\/1.1 200/);
    await pause(50);
    write("second\n");
    await client.until("second\n");
    end();
    await client.until("\r\n0\r\n\r\n");
  });

  test("the head of a stream is sent before its first chunk", async () => {
    const { stream } = handStream();
    const port = await serve(() => Promise.resolve(new Response(stream, { headers: { "x-early": "1" } })));
    expect(await (await rawClient(port, get("/"))).until("\r\n\r\n")).toContain("x-early: 1");
  });

  test("a stream is cancelled when its reader disconnects", async () => {
    const { stream, write, wasCancelled } = handStream();
    const port = await serve(() => Promise.resolve(new Response(stream)));
    const client = await rawClient(port, get("/"));
    write("hello\n");
    await client.until("hello\n");
    client.leave();
    await eventually(wasCancelled);
  });

  test("a stream is cancelled when its reader disconnects during a pause", async () => {
    const { stream, wasCancelled } = handStream();
    const port = await serve(() => Promise.resolve(new Response(stream)));
    const client = await rawClient(port, get("/"));
    await client.until("\r\n\r\n");
    await pause(50);
    client.leave();
    await eventually(wasCancelled);
  });

  test("a client that disconnects before the answer is noticed", async () => {
    let aborted = false;
    const port = await serve(async (request) => {
      request.signal.addEventListener("abort", () => (aborted = true));
      await pause(10_000);
      return new Response("late");
    });
    const client = await rawClient(port, get("/"));
    await pause(50);
    client.leave();
    await eventually(() => aborted);
  });

  test("a reader that pauses stops the producer, and gets everything when it reads on", async () => {
    const piece = new Uint8Array(64 * 1024).fill(0x78);
    const total = 800;
    let produced = 0;
    const port = await serve(() =>
      Promise.resolve(
        new Response(
          new ReadableStream<Uint8Array>(
            {
              pull: (controller) => {
                produced++;
                controller.enqueue(piece);
                if (produced === total) controller.close();
              },
            },
            { highWaterMark: 0 },
          ),
        ),
      ),
    );
    const client = await rawClient(port, get("/", "Connection: close\r\n"));
    await client.until("\r\n\r\n");
    let before = -1;
    for (let n = 0; n < 100 && produced !== before; n++) {
      before = produced;
      await pause(50);
    }
    // The system's socket buffers hold a few megabytes; the whole body has fifty.
    expect(produced).toBeLessThan(total / 2);
    client.socket.resume();
    await eventually(() => client.socket.readableEnded, 20_000);
    expect(produced).toBe(total);
    expect(client.socket.bytesRead).toBeGreaterThan(total * piece.length);
  });

  test("a stream that fails ends the connection, so that a client does not take it for complete", async () => {
    const { stream, write, fail } = handStream();
    const port = await serve(() => Promise.resolve(new Response(stream)));
    const client = await rawClient(port, get("/"));
    write("half");
    await client.until("half");
    fail(new Error("the engine has gone"));
    expect(await client.all()).not.toContain("\r\n0\r\n\r\n");
  });

  test("HEAD has no body, and the connection stays open", async () => {
    const port = await serve((request) =>
      Promise.resolve(
        new Response(request.method === "HEAD" ? null : "text", { headers: { "content-length": "4", "x-kept": "1" } }),
      ),
    );
    const client = await rawClient(port, "HEAD / HTTP/1.1\r\nHost: device\r\n\r\n" + get("/second"));
    const text = await client.until("text");
    expect(text.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    expect(text.match(/content-length: 4/gi)).toHaveLength(2);
    expect(text.match(/text/g)).toHaveLength(1);
  });

  test("an answer without a body is sent without one", async () => {
    const port = await serve(() => Promise.resolve(new Response(null, { status: 204 })));
    const text = await (await rawClient(port, get("/", "Connection: close\r\n"))).all();
    expect(text).toMatch(/^HTTP\/1\.1 204/);
    expect(text).toMatch(/\r\n\r\n$/);
  });

  test("an unexpected error is answered with 500, and the next request is served", async () => {
    let count = 0;
    const port = await serve(() => {
      count++;
      if (count === 1) return Promise.reject(new Error("unforeseen"));
      return Promise.resolve(new Response("fine"));
    });
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(500);
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("fine");
  });

  test.each([
    ["no HTTP at all", "what is this\r\n\r\n", "400"],
    ["a host that is none", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"],
    ["no host", "GET / HTTP/1.1\r\n\r\n", "400"],
  ])("%s is answered, and the next request is served", async (_name, request, status) => {
    const port = await serve(() => Promise.resolve(new Response("fine")));
    const client = await rawClient(port, request);
    expect(await client.until("\r\n\r\n")).toMatch(new RegExp(`^HTTP/1.1 ${status}`));
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("fine");
  });
});

describe("addresses", () => {
  const answer: Answer = () => Promise.resolve(new Response("fine"));
  const listener = (port = 0) => {
    const made = new Listener(answer, port);
    onTestFinished(() => made.close());
    return made;
  };
  const text = async (url: string) => (await fetch(url)).text();

  test("with port 0, the system chooses the port number, and further addresses use the same", async () => {
    const made = listener();
    await made.listen("127.0.0.1");
    expect(made.port).toBeGreaterThan(0);
    const { port } = made;
    await made.listen("127.0.0.2");
    expect(made.port).toBe(port);
    expect(await text(`http://127.0.0.1:${port}/`)).toBe("fine");
    expect(await text(`http://127.0.0.2:${port}/`)).toBe("fine");
  });

  test("that are already open are not opened again", async () => {
    const made = listener();
    expect(made.isOpen("127.0.0.1")).toBe(false);
    await made.listen("127.0.0.1");
    await made.listen("127.0.0.1");
    expect(made.isOpen("127.0.0.1")).toBe(true);
    expect(made.isOpen("127.0.0.2")).toBe(false);
  });

  test("include every address of the machine with 0.0.0.0", async () => {
    const made = listener();
    await made.listen("0.0.0.0");
    expect(made.isOpen("10.114.104.1")).toBe(true);
    await made.listen("127.0.0.1");
    expect(await text(`http://127.0.0.1:${made.port}/`)).toBe("fine");
  });

  test("in use are an error, and can be opened once they are free", async () => {
    const first = listener();
    await first.listen("127.0.0.1");
    const second = listener(first.port);
    await expect(second.listen("127.0.0.1")).rejects.toThrow("EADDRINUSE");
    expect(second.isOpen("127.0.0.1")).toBe(false);
    await first.close();
    await second.listen("127.0.0.1");
    expect(await text(`http://127.0.0.1:${second.port}/`)).toBe("fine");
  });

  test("of another machine are an error", async () => {
    await expect(listener().listen("203.0.113.1")).rejects.toThrow("EADDRNOTAVAIL");
  });

  test("are closed together with their open requests", async () => {
    const { stream, wasCancelled } = handStream();
    const made = new Listener(() => Promise.resolve(new Response(stream)), 0);
    await made.listen("127.0.0.1");
    const client = await rawClient(made.port, get("/"));
    await client.until("\r\n\r\n");
    await made.close();
    await client.all();
    await eventually(wasCancelled);
    await expect(fetch(`http://127.0.0.1:${made.port}/`)).rejects.toThrow();
  });

  test("can be closed when none is open", async () => {
    await expect(new Listener(answer, 0).close()).resolves.toBeUndefined();
  });
});

describe("limits", () => {
  const limited = async (limits: Partial<ListenerLimits>, answer: Answer, host = "127.0.0.1") => {
    const listener = new Listener(answer, 0, undefined, limits);
    onTestFinished(() => listener.close());
    await listener.listen(host);
    return listener.port;
  };
  const text: Answer = async (request) => new Response(`got ${await request.text()}`);

  describe("of time", () => {
    const limits = { headMs: 200, requestMs: 400, checkMs: 20 };
    const post = "POST / HTTP/1.1\r\nHost: device\r\nContent-Length: 10\r\n\r\n";

    test.each([
      ["that says nothing", ""],
      ["with half a head", "GET / HTTP/1.1\r\nHost: dev"],
      ["with half a body", `${post}12345`],
      [
        "with half a body in chunks",
        `${post.replace("Content-Length: 10", "Transfer-Encoding: chunked")}5\r\n12345\r\n`,
      ],
      ["that stops in its second request", `${get("/")}${post}12345`],
    ])("a client %s is answered with 408 and disconnected", async (_, request) => {
      const port = await limited(limits, text);
      const all = await (await rawClient(port, request)).all();
      expect(all).toMatch(/HTTP\/1\.1 408 Request Timeout\r\nConnection: close\r\n\r\n$/);
      expect(await (await rawClient(port, get("/", "Connection: close\r\n"))).all()).toMatch(/^HTTP\/1\.1 200/);
    });

    test.each([
      ["head", "GET / HTTP/1.1\r\nX: "],
      ["body", post.replace("10", "10000")],
    ])("a client that sends its %s byte by byte is disconnected too", async (_, request) => {
      const port = await limited(limits, text);
      const client = await rawClient(port, request);
      const timer = setInterval(() => client.socket.write("x"), 20);
      onTestFinished(() => clearInterval(timer));
      expect(await client.all()).toMatch(/^HTTP\/1\.1 408 /);
    });

    test("a missing body is an error for its reader", async () => {
      let failure: unknown;
      const port = await limited(limits, (request) =>
        request
          .text()
          .catch((error: unknown) => {
            failure = error;
            throw error;
          })
          .then((said) => new Response(said)),
      );
      await (await rawClient(port, `${post}12345`)).all();
      await eventually(() => failure instanceof Error);
    });

    test.each([
      ["that came whole", get("/")],
      ["with a body", `${post}1234567890`],
    ])("the answer to a request %s may take any time and pause", async (_, request) => {
      const { stream, write } = handStream();
      const port = await limited(limits, async (sent) => {
        await sent.text();
        await pause(1000);
        return new Response(stream);
      });
      const client = await rawClient(port, request);
      await client.until("\r\n\r\n");
      await pause(1000);
      write("at last\n");
      expect(await client.until("at last\n")).toMatch(/^HTTP\/1\.1 200 /);
    });
  });

  describe("of connections", () => {
    const limits = { connections: 3, furtherConnections: 2 };
    const forever: Answer = () => Promise.resolve(new Response(handStream().stream));
    const open = async (port: number, count: number, host?: string) => {
      const clients = [];
      for (let n = 0; n < count; n++) clients.push(await rawClient(port, get("/"), host));
      for (const client of clients) await client.until("200 OK");
      return clients;
    };

    test("a connection above the limit is answered with 503 and closed", async () => {
      const port = await limited(limits, forever);
      await open(port, 3);
      const all = await (await rawClient(port, get("/") + get("/"))).all();
      expect(all).toMatch(/^HTTP\/1\.1 503 /);
      expect(all.match(/HTTP\/1\.1/g)).toHaveLength(1);
      expect(all.toLowerCase()).toContain("\r\nconnection: close\r\n");
      expect(all).toMatch(/\r\n\r\n\{"status":"failed","message":"expected at most 3 connections; try again soon"\}$/);
    });

    test("a connection far above the limit is closed at once", async () => {
      const port = await limited(limits, forever);
      await open(port, 3);
      const waiting = [await rawClient(port, ""), await rawClient(port, "")];
      expect(await (await rawClient(port, get("/"))).all()).toBe("");
      for (const client of waiting) {
        client.socket.write(get("/"));
        expect(await client.all()).toMatch(/^HTTP\/1\.1 503 /);
      }
    });

    test("a closed connection makes room for another", async () => {
      const port = await limited(limits, forever);
      const clients = await open(port, 3);
      for (const client of clients) {
        client.leave();
        await client.all();
        await expect
          .poll(async () => {
            const next = await rawClient(port, get("/"));
            const head = await next.until("\r\n\r\n");
            if (head.includes("503")) next.leave();
            return head;
          })
          .toMatch(/^HTTP\/1\.1 200/);
      }
    });

    test("are counted for each address of the machine, also if one socket listens on all", async () => {
      const [other = "::1"] = Object.values(networkInterfaces())
        .flatMap((addresses) => addresses ?? [])
        .flatMap(({ address, family, internal }) => (family === "IPv4" && !internal ? [address] : []));
      const port = await limited(limits, forever, other === "::1" ? "::" : "0.0.0.0");
      await open(port, 3, other);
      for (let n = 0; n < 3; n++) await rawClient(port, "", other);
      await open(port, 3, "127.0.0.1");
      expect(await (await rawClient(port, get("/"), "127.0.0.1")).until("\r\n\r\n")).toMatch(/^HTTP\/1\.1 503 /);
      // All names of the loopback count as one address.
      expect(await (await rawClient(port, get("/"), "127.8.9.10")).until("\r\n\r\n")).toMatch(/^HTTP\/1\.1 503 /);
    });
  });
});
