import express from "express";
import { embedAgent, readSettings, toNodeListener } from "fairlead/node";

/**
 * The agent inside an Express app: the API is under /device.
 * On the engine in memory: PORT=3000 FAIRLEAD_ENGINE=embedded npx tsx examples/express.ts
 */

const agent = await embedAgent(readSettings([], process.env));
const app = express();

// Before whatever parses bodies: the API reads its own. And behind whatever checks who comes in: a device in local mode
// asks nobody for a key.
app.use("/device", toNodeListener(agent.fetch));

app.use(express.json());
app.get("/", (_request, response) => void response.send("This is my own page.\n"));
// The supervisor is there for your own code too, without HTTP.
app.get("/containers", (_request, response) => {
  const { containers } = agent.supervisor.view().current;
  response.json(containers.map(({ service, state }) => ({ service, state })));
});

const server = app.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1", (error) => {
  if (error) throw error;
  const address = server.address();
  console.log(`Listening on http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`);
});

process.once("SIGTERM", () => {
  server.close();
  server.closeAllConnections();
  void agent.stop();
});
