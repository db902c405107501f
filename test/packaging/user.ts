import { createServer } from "node:http";
import { createSupervisor, endpoints, isMissing, systemClock, type Engine, type Ports, type Reply } from "fairlead";
import { embedAgent, toNodeListener, type EmbeddedAgent } from "fairlead/node";
import { createClient } from "fairlead/client";
import { createMemoryDevice, EmbeddedEngine } from "fairlead/testing";

/** What somebody may write who has installed the package; package.test.ts compiles it strictly, and runs it. */

const [stateDir = "", hostRoot = ""] = process.argv.slice(2);
const agent: EmbeddedAgent = await embedAgent({ engine: "embedded", stateDir, hostRoot });
const server = createServer(toNodeListener(agent.fetch));
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const address = server.address();
const port = typeof address === "object" ? address?.port : undefined;
const overHttp = await fetch(`http://127.0.0.1:${port}${endpoints.ping.path}`);

const engine: Engine = new EmbeddedEngine({ clock: systemClock });
const device = await createMemoryDevice({ program: () => ({ lines: ["hello"] }) });
const inMemory = await device.fetch(new Request("http://device/v2/version"));

const client = createClient({ fetch: device.fetch });
const states = await client.applicationsState();
// @ts-expect-error The path needs it.
const unnamed = client.updateState.reply();

const accepted: Reply<typeof endpoints.reboot>["status"] = 202;
// @ts-expect-error This status is none that the endpoint declares.
const undeclared: Reply<typeof endpoints.reboot>["status"] = 299;
const ports: Ports = device.supervisor.ports;

console.log(
  JSON.stringify({
    overHttp: await overHttp.text(),
    inMemory: await inMemory.json(),
    states,
    unnamed: (await unnamed).status,
    engine: engine.name,
    power: isMissing(ports.power),
    statuses: [accepted, undeclared],
    supervisor: typeof createSupervisor,
  }),
);
server.closeAllConnections();
server.close();
device.stop();
await agent.stop();
