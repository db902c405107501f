import { createServer, connect, type Socket } from "node:net";

/**
 * Proxies of the four types that redsocks supports, and a server behind them. This is a separate program, so that it can run
 * in a network namespace. Each event is a line of JSON on stdout.
 *
 *   1080 SOCKS 5 with login and password (RFC 1928, 1929) · 1081 SOCKS 4 with a user id
 *   3128 HTTP CONNECT · 3129 HTTP relay, both with Basic authentication · 8080 the server: answers with the client's address
 */

const login = process.env["LOGIN"] ?? "";
const password = process.env["PASSWORD"] ?? "";

const say = (event: object) => console.log(JSON.stringify(event));

/** Splits the bytes of a connection into messages. */
class Reader {
  #bytes = Buffer.alloc(0);
  #wake = () => {};
  readonly #socket: Socket;
  readonly #onData = (bytes: Buffer) => {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    this.#wake();
  };

  constructor(socket: Socket) {
    this.#socket = socket.on("data", this.#onData);
  }

  /** The next message. `length` returns its length, or undefined while too few bytes have arrived. */
  async take(length: (bytes: Buffer) => number | undefined): Promise<Buffer> {
    for (;;) {
      const wanted = length(this.#bytes);
      if (wanted !== undefined && this.#bytes.length >= wanted) {
        const message = this.#bytes.subarray(0, wanted);
        this.#bytes = this.#bytes.subarray(wanted);
        return message;
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Stops reading messages, and returns the bytes that have not been read. */
  rest(): Buffer {
    this.#socket.off("data", this.#onData);
    return this.#bytes;
  }
}

const after = (end: number): number | undefined => (end < 0 ? undefined : end);

function serve(port: number, onConnection: (socket: Socket) => Promise<void>): void {
  createServer((socket) => {
    socket.on("error", () => socket.destroy());
    onConnection(socket).catch(() => socket.destroy());
  }).listen(port, "0.0.0.0");
}

/** Connects the client with its destination. `welcome` is sent to the client first, `first` to the destination first. */
function forward(client: Socket, reader: Reader, host: string, port: number, welcome: Buffer, first = Buffer.alloc(0)) {
  const there = connect({ host, port }, () => {
    client.write(welcome);
    there.write(Buffer.concat([first, reader.rest()]));
    client.pipe(there).pipe(client);
  });
  there.on("error", () => client.destroy());
}

serve(1080, async (client) => {
  const reader = new Reader(client);
  const greeting = await reader.take((bytes) => (bytes.length < 2 ? undefined : 2 + bytes.readUInt8(1)));
  if (!greeting.subarray(2).includes(2)) {
    say({ kind: "socks5", refused: "no login" });
    return void client.end(Buffer.from([5, 255]));
  }
  client.write(Buffer.from([5, 2]));
  const given = await reader.take((bytes) => {
    const user = bytes.length < 2 ? undefined : bytes.readUInt8(1);
    return user === undefined || bytes.length < 3 + user ? undefined : 3 + user + bytes.readUInt8(2 + user);
  });
  const end = 2 + given.readUInt8(1);
  const user = given.subarray(2, end).toString();
  const good = user === login && given.subarray(end + 1).toString() === password;
  client.write(Buffer.from([1, good ? 0 : 1]));
  if (!good) {
    say({ kind: "socks5", refused: user });
    return void client.end();
  }
  const request = await reader.take((bytes) => (bytes.length < 10 ? undefined : 10));
  const host = [...request.subarray(4, 8)].join(".");
  const port = request.readUInt16BE(8);
  say({ kind: "socks5", user, host, port });
  forward(client, reader, host, port, Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
});

serve(1081, async (client) => {
  const reader = new Reader(client);
  const request = await reader.take((bytes) => after(bytes.indexOf(0, 8) + 1 || -1));
  const host = [...request.subarray(4, 8)].join(".");
  const port = request.readUInt16BE(2);
  say({ kind: "socks4", user: request.subarray(8, -1).toString(), host, port });
  forward(client, reader, host, port, Buffer.from([0, 90, 0, 0, 0, 0, 0, 0]));
});

const http = (kind: "http-connect" | "http-relay") => async (client: Socket) => {
  const reader = new Reader(client);
  const head = (await reader.take((bytes) => after(bytes.indexOf("\r\n\r\n") + 4 || -1))).toString();
  const [line = ""] = head.split("\r\n");
  const [, given = ""] = /^proxy-authorization: *basic (.*)$/im.exec(head) ?? [];
  if (Buffer.from(given, "base64").toString() !== `${login}:${password}`) {
    say({ kind, refused: given ? "wrong" : "no login" });
    const lines = ["HTTP/1.1 407 No", 'Proxy-Authenticate: Basic realm="t"', "Content-Length: 0", "Connection: close"];
    return void client.end(`${lines.join("\r\n")}\r\n\r\n`);
  }
  if (kind === "http-connect") {
    const [, host = "", port = ""] = /^CONNECT (.+):(\d+) /.exec(line) ?? [];
    say({ kind, user: login, host, port: Number(port) });
    return forward(client, reader, host, Number(port), Buffer.from("HTTP/1.1 200 OK\r\n\r\n"));
  }
  const url = new URL(line.split(" ")[1] ?? "");
  const port = Number(url.port || 80);
  say({ kind, user: login, host: url.hostname, port });
  const direct = head.replace(url.origin, "").replace(/^proxy-[^\r]*\r\n/gim, "");
  forward(client, reader, url.hostname, port, Buffer.alloc(0), Buffer.from(direct));
};
serve(3128, http("http-connect"));
serve(3129, http("http-relay"));

createServer((client) => {
  client.on("error", () => client.destroy());
  client.once("data", () => {
    const body = client.remoteAddress?.replace("::ffff:", "") ?? "";
    client.end(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
  });
}).listen(8080, "0.0.0.0", () => say({ ready: true }));
