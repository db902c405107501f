import { connect, createServer, type Socket } from "node:net";

/** What has passed, both ways. */
interface Meter {
  bytes: number;
  /** From the device, in pieces as they came. */
  pieces: number;
}

export interface Wire {
  /** Where a device reaches the cloud through it. */
  readonly url: string;
  readonly tunnel: Meter;
  /** All that is not in a tunnel. */
  readonly requests: Meter;
  readonly stop: () => void;
}

/** A wire between devices and the cloud that counts what TCP carries: without TLS, and without the headers of IP and TCP. */
export async function meteredWire(cloud: string): Promise<Wire> {
  const { hostname: host, port } = new URL(cloud);
  const tunnel: Meter = { bytes: 0, pieces: 0 };
  const requests: Meter = { bytes: 0, pieces: 0 };
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host, port: Number(port), noDelay: true });
    let meter: Meter | undefined;
    near.on("data", (bytes) => {
      meter ??= bytes.toString("latin1").startsWith("GET /tunnel/") ? tunnel : requests;
      meter.bytes += bytes.length;
      meter.pieces++;
    });
    far.on("data", (bytes) => {
      if (meter) meter.bytes += bytes.length;
    });
    near.pipe(far).pipe(near);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => sockets.delete(one));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === "object" && address ? address.port : 0}`,
    tunnel,
    requests,
    stop: () => {
      server.close();
      for (const one of sockets) one.destroy();
    },
  };
}
