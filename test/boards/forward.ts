import { connect, createServer } from "node:net";

/** Forwards ports of the loopback to Unix sockets, which work across network namespaces: `8787=/tmp/cloud.sock …`. */
for (const pair of process.argv.slice(2)) {
  const [port = "", path = ""] = pair.split("=");
  createServer((near) => {
    const far = connect(path);
    near.pipe(far).pipe(near);
    for (const one of [near, far]) one.once("error", () => (near.destroy(), far.destroy()));
  }).listen(Number(port), "127.0.0.1", () => process.stdout.write(`leads ${port}\n`));
}
