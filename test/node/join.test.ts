import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import { plainIo } from "../../runtimes/cli/io.ts";
import { runProgram } from "../../runtimes/cli/run.ts";
import { startCloud } from "../support/fake-cloud.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** A cloud that registers every device or refuses with this error, and the registrations it received. */
async function cloud(refusal?: string) {
  const said: unknown[] = [];
  const server = createServer(async (request, response) => {
    said.push(await json(request));
    response.statusCode = refusal === undefined ? 201 : 400;
    response.end(refusal ?? JSON.stringify({ id: 1, uuid: "u", api_key: "k" }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, said };
}

async function joined(before: object, ...more: readonly string[]) {
  const { url, said } = await cloud();
  const folder = await temporaryFolder();
  const file = join(folder, "config.json");
  await writeFile(file, JSON.stringify(before));
  const args = [url, "--key", "provisioning-key", "--fleet", "1", "--config", file, "--host-root", folder];
  await runProgram(
    ["join", ...args, ...more],
    plainIo({}, () => undefined),
  );
  const config: unknown = JSON.parse(await readFile(file, "utf8"));
  return { config, said };
}

describe("fairlead join", () => {
  test("makes a development device only with --dev", async () => {
    const plain = await joined({});
    expect(plain.config).not.toHaveProperty("developmentMode");
    expect(plain.said).toMatchObject([{ application: 1, os_variant: "prod" }]);

    const dev = await joined({}, "--dev");
    expect(dev.config).toMatchObject({ developmentMode: true, deviceApiKey: "k" });
    expect(dev.said).toMatchObject([{ os_variant: "dev" }]);
  });

  test.each([true, false])("without --dev keeps developmentMode: %s", async (developmentMode) => {
    const { config, said } = await joined({ developmentMode });
    expect(config).toMatchObject({ developmentMode });
    expect(Object(said[0])["os_variant"]).toBe(developmentMode ? "dev" : "prod");
  });

  // --anew is the name of --force in earlier logs and documents.
  test.each(["--force", "--anew"])("joins again only with %s", async (flag) => {
    const member = { deviceApiKey: "old", apiEndpoint: "https://cloud.example" };
    await expect(joined(member)).rejects.toThrow(
      /^This device has joined https:\/\/cloud\.example already \(.*\)\. To join again: --force$/,
    );
    expect((await joined(member, flag)).config).toMatchObject({ deviceApiKey: "k" });
  });

  test("is not registered if its config cannot be written", async () => {
    const { url, said } = await cloud();
    const file = join(await temporaryFolder(), "file");
    await writeFile(file, "");
    const config = join(file, "config.json");
    const command = runProgram(
      ["join", url, "--key", "provisioning-key", "--fleet", "1", "--config", config],
      plainIo({}, () => {}),
    );
    await expect(command).rejects.toThrow(
      `${config} cannot be written: ${file} is no folder\nAs root: sudo fairlead join <url> --key <key>.`,
    );
    expect(said).toEqual([]);
  });

  test("prints the cloud's refusal without the key", async () => {
    const { url } = await cloud("provisioning-key is no good");
    const config = join(await temporaryFolder(), "config.json");
    const command = runProgram(
      ["join", url, "--key", "provisioning-key", "--fleet", "1", "--config", config],
      plainIo({}, () => {}),
    );
    await expect(command).rejects.toThrow("The cloud does not take this device (400): (hidden) is no good");
  });

  describe("with a balena cloud", () => {
    async function joining(key: string, fleet: string, osRelease: string) {
      const cloud = await startCloud();
      cloud.addFleet("other", "b".repeat(32));
      const folder = await temporaryFolder();
      await mkdir(join(folder, "etc"));
      await writeFile(join(folder, "etc/os-release"), osRelease);
      const config = join(folder, "config.json");
      await writeFile(config, JSON.stringify({ deviceType: "generic-amd64", uuid }));
      const args = ["--key", key, "--fleet", fleet, "--config", config, "--host-root", folder];
      return {
        cloud,
        done: runProgram(
          ["join", cloud.url, ...args],
          plainIo({}, () => undefined),
        ),
      };
    }
    const debian = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n';

    test.each([
      ["Debian 12", debian, { os_version: "12.0.0", os_variant: "prod" }],
      ["Debian sid", 'ID=debian\nPRETTY_NAME="Debian GNU/Linux trixie/sid"\n', { os_variant: "prod" }],
    ])("a stock %s can register", async (_, osRelease, fields) => {
      const { cloud, done } = await joining("<provisioning-key>", "1", osRelease);
      await done;
      expect(cloud.device(uuid).fields).toMatchObject(fields);
      expect(cloud.asked[0]?.headers["user-agent"]).toMatch(
        /^Supervisor\/19\.0\.5 \(Linux; Debian GNU\/Linux .+; prod\)$/,
      );
    });

    test.each([
      [
        "a key that it does not know",
        "unknown",
        "1",
        /\(401\): .*it does not know the provisioning key; .*config\.json again$/,
      ],
      ["a key of another fleet", "<provisioning-key>", "2", /\(401\): the provisioning key is not one of this fleet/],
    ])("%s is refused with advice", async (_, key, fleet, message) => {
      const { done } = await joining(key, fleet, debian);
      await expect(done).rejects.toThrow(message);
    });

    test("a uuid that is already registered is refused with advice", async () => {
      const { cloud, done } = await joining("<provisioning-key>", "1", debian);
      cloud.addDevice(uuid, "k");
      await expect(done).rejects.toThrow(/balena device rm <uuid>/);
    });
  });
});

const uuid = "a".repeat(32);
