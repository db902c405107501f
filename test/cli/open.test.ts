import { createServer } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import type { Fetch } from "../../core/http/fetch.ts";
import { plainIo } from "../../runtimes/cli/io.ts";
import { runProgram } from "../../runtimes/cli/run.ts";
import { toNodeListener } from "../../runtimes/node/index.ts";
import { managedDevice } from "../api/managed.ts";
import { testDevice } from "../support/device.ts";

async function serve(fetch: Fetch): Promise<string> {
  const server = createServer(toNodeListener(fetch));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void (server.closeAllConnections(), server.close()));
  const bound = server.address();
  return `http://127.0.0.1:${typeof bound === "object" ? bound?.port : ""}`;
}

async function open(args: readonly string[], environment: Record<string, string>): Promise<string> {
  let said = "";
  await runProgram(
    ["open", ...args],
    plainIo(environment, (text) => (said += text)),
  );
  return said;
}

test("fairlead open --print has the key behind #, if one is needed", async () => {
  const local = await serve((await testDevice()).fetch);
  const key = "a key/of&a device";
  expect(await open(["--print"], { BALENA_SUPERVISOR_ADDRESS: local, BALENA_SUPERVISOR_API_KEY: key })).toBe(
    `${local}/\n`,
  );
  const device = await managedDevice();
  const managed = await serve(device.fetch);
  const own = device.supervisor.keys.global();
  const environment = { BALENA_SUPERVISOR_ADDRESS: managed, BALENA_SUPERVISOR_API_KEY: own };
  expect(await open(["--print"], environment)).toBe(`${managed}/#key=${own}\n`);
});

test.skipIf(process.platform === "darwin")(
  "without a screen, fairlead open names the address, and not the key",
  async () => {
    const device = await managedDevice();
    const address = await serve(device.fetch);
    const key = device.supervisor.keys.global();
    const said = await open([], { BALENA_SUPERVISOR_ADDRESS: address, BALENA_SUPERVISOR_API_KEY: key });
    expect(said).toBe(`Open ${address}/ in a browser. To have the key in the address: --print\n`);
  },
);
