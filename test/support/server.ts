import { createServer } from "node:http";

/** A server on the ports that it is given, IPv4 and IPv6: answers "here", and to `/ticks` goes on saying "tick". */
for (const port of process.argv.slice(2).map(Number))
  createServer((request, response) => {
    if (request.url !== "/ticks") return void response.end("here");
    const timer = setInterval(() => response.write("tick\n"), 50);
    response.on("close", () => clearInterval(timer));
  }).listen(port, "::", () => console.log(`listens on ${port}`));
