import { createServer } from "node:http";

/** Servers on the given ports, IPv4 and IPv6. They answer "here", and to `/ticks` a stream of "tick". */
for (const port of process.argv.slice(2).map(Number))
  createServer((request, response) => {
    if (request.url !== "/ticks") return void response.end("here");
    const timer = setInterval(() => response.write("tick\n"), 50);
    response.on("close", () => clearInterval(timer));
  }).listen(port, "::", () => console.log(`listens on ${port}`));
