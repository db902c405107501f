import { rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";

/** A connection from a Unix socket to a port number of this machine, which can be cut and restored. */
export interface Link {
  readonly path: string;
  readonly cut: () => void;
  readonly mend: () => void;
  readonly close: () => Promise<void>;
}

export async function createLink(path: string, port: () => number): Promise<Link> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer((near) => {
    if (isCut) return near.destroy();
    const far = connect(port(), "127.0.0.1");
    near.pipe(far).pipe(near);
    for (const one of [near, far]) {
      sockets.add(one);
      one.once("close", () => sockets.delete(one));
      one.once("error", () => (near.destroy(), far.destroy()));
    }
  });
  rmSync(path, { force: true });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const cut = () => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  return {
    path,
    cut,
    mend: () => {
      isCut = false;
    },
    close: () => {
      cut();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
