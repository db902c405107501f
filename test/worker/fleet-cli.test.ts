import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import * as z from "zod";
import { plainIo } from "../../runtimes/cli/io.ts";
import { runProgram } from "../../runtimes/cli/run.ts";
import { startProgram } from "../node/program.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { adminSecret, startCloud } from "./cloud.ts";
import { newDevice, newFleet, newToken } from "./people.ts";

const cloud = startCloud();

const environment = () => ({ FAIRLEAD_CLOUD_URL: cloud.url(), FAIRLEAD_CLOUD_TOKEN: adminSecret });

/** The output of a command. It runs in this process, because a new process would take a second to start. */
async function said(...args: readonly string[]): Promise<string> {
  let printed = "";
  const io = plainIo(environment(), (text) => void (printed += text));
  expect(await runProgram(["cloud", ...args], io)).toBe(0);
  return printed;
}

const compose = `
x-common: &common
  restart: unless-stopped
services:
  web:
    <<: *common
    image: registry.example/web:1
    ports: ["80:80"]
    volumes: [data:/data]
  db: { <<: *common, image: "registry.example/db:1" }
volumes:
  data:
`;

test("commands turn a compose file into a running release", async () => {
  const file = join(await temporaryFolder(), "docker-compose.yml");
  writeFileSync(file, compose);
  const fleet = await newFleet(cloud, "cli");
  const device = await newDevice(cloud, fleet);
  const { uuid, api_key: key } = device;

  expect(await said("release", "cli", file, "--keep-tags", "--commit", "one")).toBe("Release one of db, web\n");
  writeFileSync(file, compose.replace("web:1", "web"));
  expect(await said("release", "cli", file, "--keep-tags", "--commit", "two")).toMatch(
    /^Warning: services\.web\.image: .*\nRelease two of db, web\n$/,
  );
  expect(await said("pin", uuid, "one")).toMatch(/ is pinned to one\n$/);
  expect(await said("releases", "cli")).toMatch(/two +db,web +yes +0 [^]*one +db,web +no +0 /);

  expect(await said("env", "set", uuid, "A=1", "B=x=y", "--service", "web")).toBe("Set: A, B\n");
  expect(await said("env", "set", "--fleet", "cli", "C=3", "RESIN_HOST_X=1")).toBe("Set: C, RESIN_HOST_X\n");
  const names = await said("env", "list", uuid);
  expect(names).toMatch(/^NAME +KIND +SERVICE[^]*A +env +web[^]*B +env +web/);
  expect(names).not.toContain("x=y");
  expect(await said("env", "rm", "--fleet", "cli", "C")).toBe("Removed: C\n");

  const { json } = await cloud.ask("GET", `/device/v3/${uuid}/state`, undefined, key);
  expect(json).toMatchObject({
    [uuid]: {
      config: { RESIN_HOST_X: "1" },
      apps: {
        [fleet.uuid]: {
          releases: {
            one: {
              services: {
                web: {
                  environment: { A: "1", B: "x=y" },
                  composition: { restart: "unless-stopped", ports: ["80:80"] },
                },
                db: { environment: {} },
              },
              volumes: { data: {} },
            },
          },
        },
      },
    },
  });

  const web = { image: "registry.example/web:1", status: "Downloading", download_progress: 40 };
  const apps = { [fleet.uuid]: { releases: { one: { update_status: "downloading", services: { web } } } } };
  await cloud.ask("PATCH", "/device/v3/state", { [uuid]: { apps } }, key);
  expect(await said("devices", "--fleet", "cli")).toMatch(
    /^NAME +UUID +ONLINE +PROBLEM +RUNS +SHOULD RUN +STATE +HEARD\n.* no +- +- +one \(pinned\) +downloading 40 % /,
  );
  const since = new Date(Date.now() - 300_000).toISOString();
  const problem = { service: "web", kind: "crashLoop", message: "exited 3 times with 1: \u001b[2Jno such file", since };
  await cloud.ask("PATCH", "/device/v3/state", { [uuid]: { problems: [problem, problem] } }, key);
  expect(await said("devices", "--fleet", "cli")).toContain(" web: exited 3 times with 1: ");
  expect(await said("devices", "--fleet", "cli")).toMatch(/no such file \(5 min, \+1\) +- +one/);
  expect(await said("devices", "--fleet", "cli")).not.toContain("\u001b");
  const failed = { kind: "updateFailed", message: "web: it did not get healthy", since };
  await cloud.ask("PATCH", "/device/v3/state", { [uuid]: { problems: [problem, failed] } }, key);
  expect(await said("devices", "--fleet", "cli")).toContain(" web: it did not get healthy (5 min, +1)");
  expect(await said("pin", uuid, "latest")).toMatch(/ follows its fleet to two\n$/);
  expect(await said("pin", "--fleet", "cli", "one")).toBe("cli is pinned to one\n");
  expect(await said("pin", "--fleet", "cli", "latest")).toBe("cli follows its latest release two\n");
});

test("a release carries configs and secrets, which only principals that may read secrets see", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, "compose.yml");
  writeFileSync(
    file,
    "services: { web: { image: 'registry.example/web:1', configs: [conf], secrets: [psk] } }\n" +
      "configs: { conf: { content: listen 80 } }\nsecrets: { psk: { file: psk.txt } }\n",
  );
  const fleet = await newFleet(cloud, "files");
  const { uuid, api_key: key } = await newDevice(cloud, fleet);
  await expect(said("release", "files", file, "--keep-tags")).rejects.toThrow(/^secrets\.psk\.file: .* cannot be read/);
  writeFileSync(join(folder, "psk.txt"), "hunter2");
  expect(await said("release", "files", file, "--keep-tags", "--commit", "one")).toBe("Release one of web\n");

  const path = `/device/v3/${uuid}/state`;
  expect((await cloud.ask("GET", path, undefined, key)).json).toMatchObject({
    [uuid]: {
      apps: {
        [fleet.uuid]: {
          releases: { one: { configs: { conf: { content: "listen 80" } }, secrets: { psk: { content: "hunter2" } } } },
        },
      },
    },
  });
  const { token } = await newToken(cloud, { fleets: [fleet.id], write: true });
  for (const shown of [path, `/device/v2/${uuid}/state`, "/v7/release", `/admin/v1/fleets/${fleet.id}/releases`]) {
    const { status, text } = await cloud.ask("GET", shown, undefined, token);
    expect([shown, status, /hunter2|listen 80/.test(text)]).toEqual([shown, 200, false]);
  }

  writeFileSync(join(folder, "psk.txt"), "hunter3");
  expect(await said("release", "files", file, "--keep-tags", "--dry-run")).toMatch(/^changed +secret psk: content\n/);
});

test("release --wait and wait end when the devices run the release, when one rejects it, and at the timeout", async () => {
  const file = join(await temporaryFolder(), "docker-compose.yml");
  writeFileSync(file, "services:\n  web:\n    image: registry.example/web:1\n");
  const fleet = await newFleet(cloud, "awaited");
  const device = await newDevice(cloud, fleet);
  const report = (commit: string, update_status: string) => {
    const app = {
      ...(update_status === "done" && { release_uuid: commit }),
      releases: { [commit]: { update_status } },
    };
    const body = { [device.uuid]: { apps: { [fleet.uuid]: app } } };
    return cloud.ask("PATCH", "/device/v3/state", body, device.api_key);
  };
  const run = async (...args: readonly string[]) => {
    let printed = "";
    const io = plainIo(environment(), (text) => void (printed += text));
    return { status: await runProgram(["cloud", ...args, "--stay-up", "0"], io), printed };
  };
  const released = (commit: string) =>
    expect.poll(() => said("releases", "awaited"), { timeout: 10_000 }).toMatch(new RegExp(`^${commit} `, "m"));

  const done = run("release", "awaited", file, "--keep-tags", "--commit", "one", "--wait", "--offline", "wait");
  await released("one");
  await report("one", "done");
  const { status, printed } = await done;
  expect(status).toBe(0);
  expect(printed).toMatch(/^Release one of web\n[^]*: done\n1 device: 1 done\nRelease one runs on 1 of 1 devices\n$/);
  expect((await run("wait", "awaited")).status).toBe(0);

  await said("release", "awaited", file, "--keep-tags", "--commit", "two");
  const { status: late, printed: unfinished } = await run("wait", "awaited", "--offline", "wait", "--timeout", "0.01");
  expect(late).toBe(1);
  expect(unfinished).toMatch(/\nRelease two is not done after 0.01 minutes: 1 device: 1 offline\n$/);
  expect(await run("wait", "awaited")).toMatchObject({
    status: 0,
    printed: expect.stringMatching(
      /\nOffline, they update when they connect: .+\nRelease two runs on 0 of 1 devices\n$/,
    ),
  });
  await report("two", "rejected");
  const failed = await run("wait", "awaited", "two", "--json");
  expect(failed.status).toBe(1);
  expect(failed.printed).toMatch(/: failed: The device reports that the update was rejected\n[^]*"failed": 1/);
  await report("two", "downloading");

  const interrupted = startProgram(["cloud", "wait", "awaited"], environment());
  await expect.poll(interrupted.stdout, { timeout: 20_000 }).toMatch(/1 device: 1 updating/);
  interrupted.kill("SIGINT");
  expect(await interrupted.ended).toMatchObject({
    code: 130,
    stdout: expect.stringMatching(/\nThe release goes on\. To see it again: fairlead cloud wait "awaited" two\n$/),
  });
}, 60_000);

test("a release is checked before it is created", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, "compose.yml");
  const answers: Record<string, [number, string]> = {
    "/v2/web/manifests/1": [200, JSON.stringify({ manifests: [{ platform: { os: "linux", architecture: "amd64" } }] })],
    "/v2/arm/manifests/1": [200, JSON.stringify({ manifests: [{ platform: { os: "linux", architecture: "arm64" } }] })],
  };
  const registry = createServer(({ url = "" }, response) => {
    const [status, body] = answers[url] ?? [404, ""];
    response.writeHead(status, { "docker-content-digest": `sha256:${"a".repeat(64)}` }).end(body);
  });
  await new Promise<void>((resolve) => registry.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void registry.close());
  const address = registry.address();
  const host = `127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  const write = (web: string) => writeFileSync(file, `services:\n  web:\n    image: ${host}/${web}\n`);
  await newFleet(cloud, "checked");

  write("web:1\n    comand: run");
  await expect(said("release", "checked", file)).rejects.toThrow(
    `${file} cannot be released:\n  services.web.comand: not supported; did you mean "command"?\nWith --allow-unsupported, these parts are left out.`,
  );
  expect(await said("release", "checked", file, "--allow-unsupported", "--commit", "one")).toBe(
    'Warning: services.web.comand: not supported; did you mean "command"?\nRelease one of web\n',
  );
  write("arm:1");
  await expect(said("release", "checked", file)).rejects.toThrow(
    `services.web.image: ${host}/arm:1 is for linux/arm64; devices of type generic-amd64 run linux/amd64`,
  );
  write("none:1");
  await expect(said("release", "checked", file)).rejects.toThrow(`services.web.image: ${host} has no ${host}/none:1`);

  write("web:1");
  expect(await said("release", "checked", file, "--dry-run")).toBe(
    "changed  service web: comand\nNothing was released: this was a dry run\n",
  );
  expect(await said("release", "checked", file, "--commit", "two")).toBe("Release two of web\n");
  expect(await said("release", "checked", file, "--dry-run")).toBe("No changes; nothing was released\n");
});

test("powers over the host are printed when a release is created, and can be forbidden", async () => {
  const file = join(await temporaryFolder(), "docker-compose.yml");
  writeFileSync(file, "services:\n  web: { image: 'web:1', privileged: true, pid: host }\n  db: { image: 'db:1' }\n");
  await newFleet(cloud, "powers");
  expect(await said("release", "powers", file, "--keep-tags", "--commit", "one")).toBe(
    "web may control the host: privileged, host-pid\nRelease one of db, web\n",
  );
  expect(await said("fleet", "forbid", "powers", "privileged", "dbus")).toBe("powers forbids privileged, dbus\n");
  await expect(said("release", "powers", file, "--keep-tags", "--commit", "two")).rejects.toThrow(
    "services.web: the fleet forbids privileged",
  );
  expect(await said("fleet", "allow", "powers", "privileged")).toBe("powers forbids dbus\n");
  expect(await said("release", "powers", file, "--keep-tags", "--commit", "two")).toMatch(/Release two/);
  expect(await said("fleet", "allow", "powers", "dbus")).toBe("powers forbids nothing\n");
  await expect(said("fleet", "forbid", "powers", "root")).rejects.toThrow(
    'There is no power "root", only: privileged,',
  );
});

test("a secret value is read from standard input", async () => {
  const fleet = await newFleet(cloud, "stdin");
  const device = await newDevice(cloud, fleet);
  const program = startProgram(["cloud", "env", "set", "--fleet", "stdin", "TOKEN"], environment(), "a secret\n");
  expect((await program.ended).code).toBe(0);
  const { text } = await cloud.ask("GET", `/v7/device?$select=id`, undefined, device.api_key);
  expect(text).not.toContain("a secret");
});

test("a log is read and followed across a deployment", async () => {
  const fleet = await newFleet(cloud, "log reading");
  const { uuid, api_key: key } = await newDevice(cloud, fleet);
  await cloud.make(z.unknown(), `/admin/v1/fleets/${fleet.id}/releases`, {
    composition: { services: { web: { image: "web:1" } } },
  });
  const { d } = z
    .object({ d: z.tuple([z.object({ id: z.int() })]) })
    .parse((await cloud.ask("GET", `/v7/service?$filter=application eq ${fleet.id}`)).json);
  let at = Date.parse("2026-01-01T00:00:00.000Z");
  const write = async (message: string, more: object = { serviceId: d[0].id }) => {
    const line = JSON.stringify({ message, timestamp: at++, ...more });
    const headers = { "content-type": "application/x-ndjson", authorization: `Bearer ${key}` };
    const { status } = await fetch(`${cloud.url()}/device/v2/${uuid}/log-stream`, {
      method: "POST",
      headers,
      body: line,
    });
    expect(status).toBe(201);
  };
  await write("hello");
  await write("Started", { isSystem: true });
  expect(await said("logs", uuid)).toBe(
    "2026-01-01T00:00:00.000Z web: hello\n2026-01-01T00:00:00.001Z system: Started\n",
  );
  expect(await said("logs", uuid, "--service", "web", "--count", "all")).toBe("2026-01-01T00:00:00.000Z web: hello\n");

  const following = startProgram(["cloud", "logs", uuid, "--follow", "--count", "1"], environment());
  await expect.poll(() => following.stdout(), { timeout: 20_000 }).toMatch(/system: Started\n$/);
  await write("live");
  await expect.poll(() => following.stdout(), { timeout: 20_000 }).toMatch(/web: live\n$/);
  await cloud.worker.update((options) => options);
  await write("after the deployment");
  await expect
    .poll(() => following.stdout(), { timeout: 20_000 })
    .toMatch(/web: live\n.* web: after the deployment\n$/);
});

test("a token is created with its permissions, and its revocation lists what has ended with it", async () => {
  const fleet = await newFleet(cloud, "typed tokens");
  const made = z
    .object({ id: z.string(), token: z.string() })
    .parse(
      JSON.parse(await said("token", "create", "t", "--fleet", "typed tokens", "--secrets", "--manage", "--json")),
    );
  const whoami = await cloud.ask("GET", "/admin/v1/whoami", undefined, made.token);
  expect(whoami.json).toEqual({
    tokenId: made.id,
    fleets: [fleet.id],
    write: false,
    secrets: true,
    manage: true,
    shell: false,
  });
  const as = { FAIRLEAD_CLOUD_URL: cloud.url(), FAIRLEAD_CLOUD_TOKEN: made.token };
  const make = (...args: readonly string[]) =>
    runProgram(
      ["cloud", ...args, "--json"],
      plainIo(as, () => {}),
    );
  await make("token", "create", "child", "--fleet", "typed tokens");
  await make("fleet", "key", "typed tokens");
  await make("fleet", "key", "typed tokens");
  expect(await said("token", "revoke", made.id, "--yes")).toBe(
    "The token is refused from now on\n" +
      "Tokens that it had made, which are revoked, too: 1\n" +
      "Provisioning keys that it had made, which are deleted: 2\n",
  );
});

test("a new provisioning key is printed with its lifetime and number of devices", async () => {
  await cloud.ask("POST", "/admin/v1/fleets", { name: "key words" });
  const printed = (...args: readonly string[]) => said("fleet", "key", "key words", ...args);
  expect(await printed()).toMatch(
    /^[0-9a-f]{64}\n\nIt is shown only now\. It is good until 20\d\d-\d\d-\d\d\. On a device:/,
  );
  expect(await printed("--days", "never", "--uses", "1")).toMatch(/It does not expire, for 1 device\. On a device:/);
  expect(await said("fleet", "keys", "key words")).toMatch(/USESLEFT[^]* 1 /);
  await expect(printed("--days", "soon")).rejects.toThrow(
    '--days: expected a number above 0, or never, but got "soon"',
  );
  await expect(printed("--uses", "0")).rejects.toThrow('--uses: expected a whole number of 1 or more, but got "0"');
});

test.each<readonly [readonly string[], RegExp]>([
  [["release", "words"], /^Expected: fairlead cloud release <fleet> <compose file>/],
  [["release", "words", "/nowhere.yml"], /^\/nowhere\.yml cannot be read: ENOENT/],
  [["pin", "ffff", "one"], /^There is no device "ffff"; fairlead cloud devices lists/],
  [["env", "set", "--fleet", "words", "A", "B"], /^Only one value can come from standard input, but A, B have none/],
  [["env", "set", "--fleet", "words", "1A=x"], /^The cloud refuses \(400\): "1A": The name of a variable/],
  [["env", "rm", "--fleet", "words", "A"], /^The cloud refuses \(404\): There is no such variable/],
])("%j is refused with a message", async (args, message) => {
  await cloud.ask("POST", "/admin/v1/fleets", { name: "words" });
  await expect(said(...args)).rejects.toThrow(message);
});

test.each([
  ["services:\n  web:\n    image: [unclosed\n", /docker-compose\.yml: .* at line 4/],
  ["services:\n  web:\n    build: .\n", / cannot be released:\n {2}services\.web\.build: images are not built here/],
  ["- a list\n", /expected a compose file/],
])("a compose file such as %j is refused with a message", async (source, message) => {
  const file = join(await temporaryFolder(), "docker-compose.yml");
  writeFileSync(file, source);
  await cloud.ask("POST", "/admin/v1/fleets", { name: "words" });
  await expect(said("release", "words", file, "--keep-tags")).rejects.toThrow(message);
});
