import { writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { everything } from "../../core/model/scope.ts";
import { createMemoryDevice } from "../../core/embedded/index.ts";
import { plainIo } from "../../runtimes/cli/io.ts";
import { runProgram } from "../../runtimes/cli/run.ts";
import { toNodeListener } from "../../runtimes/node/index.ts";
import { SettingsError } from "../../runtimes/node/settings-error.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { app } from "../support/device.ts";

/** The commands for updates, on a device and through a cloud that relays them. */

const uuid = "0123456789abcdef0123456789abcdef";
const device = await createMemoryDevice();
const server = createServer(toNodeListener(device.fetch));

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return text;
}

/** A cloud that knows one device, by its uuid. */
const cloud = createServer((request, response) => {
  void textOf(request).then(async (text) => {
    const { method, data } = Object(JSON.parse(text));
    const init =
      data === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(data) };
    const path = request.url?.replace(/^\/supervisor/, "") ?? "";
    const answer = await device.fetch(new Request(`http://device${path}`, { method: String(method), ...init }), {
      scope: everything,
    });
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
  });
});

const addresses = new Map<object, string>();

beforeAll(async () => {
  for (const one of [server, cloud]) {
    await new Promise<void>((resolve) => one.listen(0, "127.0.0.1", resolve));
    const bound = one.address();
    addresses.set(one, `http://127.0.0.1:${typeof bound === "object" ? bound?.port : ""}`);
  }
});

afterAll(async () => {
  for (const one of [server, cloud]) (one.closeAllConnections(), one.close());
  await device.stop();
});

async function type(...args: readonly string[]) {
  let printed = "";
  const io = plainIo(
    {
      BALENA_SUPERVISOR_ADDRESS: addresses.get(server),
      FAIRLEAD_CLOUD_URL: addresses.get(cloud),
      FAIRLEAD_CLOUD_TOKEN: "token",
    },
    (text) => (printed += text),
  );
  const [status, fault] = await runProgram(args, io).then(
    (code) => [code, undefined],
    (error: unknown) => [1, error instanceof SettingsError ? error.message : error],
  );
  return { printed, status, fault };
}

async function release(commit: string): Promise<void> {
  const labels = { "io.balena.update.confirm": "true", "io.balena.update.monitor": "0s" };
  const apps = { "1": app({ web: { labels, environment: { V: commit } } }, { name: "shop", commit }) };
  const body = JSON.stringify({ local: { name: "device", config: { SUPERVISOR_SAFE_UPDATES: "on" }, apps } });
  const headers = { "content-type": "application/json" };
  const init = { method: "POST", headers, body };
  expect((await device.fetch(new Request("http://device/v2/local/target-state", init))).status).toBe(200);
}

test("fairlead update shows, confirms, rolls back and retries an update", { timeout: 30_000 }, async () => {
  expect((await type("update", "status")).printed).toBe("The device has no application\n");
  await release("c1");
  const status = async (...of: readonly string[]) => (await type("update", "status", ...of)).printed;
  await expect.poll(() => status()).toMatch(/^shop {2}runs its release\ncommitted {2}c1\ntarget +c1\n/);
  expect((await type("update", "confirm")).fault).toBe("The device refuses (409): No update is tried now");

  await release("c2");
  await expect
    .poll(() => status())
    .toMatch(
      /^shop {2}tries another release\ncommitted {2}c1\ntarget +c2\n[^]*\nweb +confirm +closed +(?![^]*Waits for )/,
    );
  expect((await type("update", "confirm", "shop")).printed).toBe("shop: the update is confirmed\n");
  await expect.poll(() => status()).toMatch(/runs its release\ncommitted {2}c2/);

  await release("c3");
  await expect.poll(() => status()).toMatch(/tries another release/);
  expect((await type("update", "rollback", "--reason", "wrong colour")).printed).toMatch(
    /^shop: the committed release/,
  );
  await expect
    .poll(() => status())
    .toMatch(
      /the target has failed\ncommitted {2}c2\ntarget +c3\nfailed +It was rolled back by caller.*: wrong colour/,
    );
  expect(JSON.parse(await status("--json"))).toMatchObject([{ name: "shop", state: "rejected" }]);

  const through = async (...args: readonly string[]) => type("cloud", "update", ...args);
  expect((await through("retry", uuid)).printed).toBe("shop: the release is tried again\n");
  await expect.poll(async () => (await through("status", uuid)).printed).toMatch(/^shop {2}tries another release/);
  expect((await through("rollback", uuid, "--app", "shop")).status).toBe(0);
  await expect.poll(() => status()).toMatch(/failed +It was rolled back by cloud/);
  expect((await through("apply", uuid)).fault).toMatch(/^The device refuses \(409\): No update waits for consent/);
  expect((await type("update", "status", "nothing")).fault).toMatch(/^There is no application "nothing", only: shop/);
});

test("fairlead up does not wait for the update of another application", { timeout: 30_000 }, async () => {
  await release("c4");
  const shop = async () => (await type("update", "status", "shop")).printed;
  await expect.poll(shop).toMatch(/tries another release/);
  const file = join(await temporaryFolder(), "compose.yaml");
  await writeFile(file, "name: quick\nservices:\n  door:\n    image: door:1\n");
  const { printed, status } = await type("up", file);
  expect([status, printed]).toEqual([0, expect.stringMatching(/door: Running\n$/)]);
  expect(await shop()).toMatch(/tries another release/);
});
