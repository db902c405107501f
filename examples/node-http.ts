import { createServer } from "node:http";
import { embedAgent, readSettings, toNodeListener } from "fairlead/node";

/**
 * The agent inside a server of your own, by plain node:http: the API is under /device.
 * On the engine in memory: PORT=3000 FAIRLEAD_ENGINE=embedded npx tsx examples/node-http.ts
 */

const agent = await embedAgent(readSettings([], process.env));
const answerAsDevice = toNodeListener(agent.fetch);

const server = createServer((request, response) => {
  const path = /^\/device(\/.*)$/.exec(request.url ?? "")?.[1];
  if (path === undefined) return void response.end("This is my own page.\n");
  // A device in local mode asks nobody for a key: check here who may come in.
  request.url = path;
  void answerAsDevice(request, response);
});

server.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1", () => {
  const address = server.address();
  console.log(`Listening on http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`);
});

process.once("SIGTERM", () => {
  server.close();
  server.closeAllConnections();
  void agent.stop();
});
