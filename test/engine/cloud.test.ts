import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { part, until } from "../cloud/fleet.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { makeImage, noDocker, startRegistry } from "../support/docker.ts";
import type { TokenSigner } from "../support/cloud/registry.ts";
import { startCloud } from "../support/fake-cloud.ts";
import { agentOnEngine, docker, names, pause } from "./on-the-engine.ts";

/** An agent on a real engine, with a cloud. */

const uuid = "c".repeat(32);
const image = "fairlead-cloud:1";
const lines = 400;

/** Some lines at once, and more lines over eight seconds. */
const talker = `
n=0
while [ $n -lt ${lines} ]; do
  echo "line $n"
  n=$((n + 1))
  test $((n % 50)) -eq 0 && sleep 1
done
sleep 1000
`;

/** A key and its certificate, created for this test. */
function newSigner(): TokenSigner {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-signer-"));
  try {
    const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
    const made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key];
    execFileSync("openssl", ["req", "-x509", "-subj", "/CN=test", "-days", "2", "-out", certificate, ...made], {
      stdio: "ignore",
    });
    return { privateKey: readFileSync(key, "utf8"), certificate: readFileSync(certificate, "utf8") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe.skipIf(noDocker !== undefined)("a managed device", () => {
  beforeAll(() => makeImage(docker, image, talker));

  test("pulls from its cloud's registry with its own key, and sends that key to no other registry", async () => {
    const cloud = await startCloud({ shortestPollMs: 1000 });
    cloud.signer = newSigner();
    const { certificate } = cloud.signer;
    const open = await startRegistry();
    onTestFinished(() => open.stop());
    const tokens = { realm: `${cloud.url}/auth/v1/token`, issuer: "fake-cloud", certificate };
    const guarded = await startRegistry({ tokens, data: open.data });
    onTestFinished(() => guarded.stop());
    const foreign = await startRegistry({ tokens, data: open.data });
    onTestFinished(() => foreign.stop());
    for (const name of ["v2/mine", "v2/theirs"]) await open.push(docker, image, `${name}:latest`);
    const [mine, theirs] = [`${guarded.host}/v2/mine`, `${foreign.host}/v2/theirs`];

    const folder = await temporaryFolder();
    const config = join(folder, "config.json");
    const { id: applicationId, key: apiKey } = cloud.fleet;
    const given = { apiEndpoint: cloud.url, registryEndpoint: guarded.host, uuid, deviceType: "generic-amd64" };
    await writeFile(config, JSON.stringify({ ...given, apiKey, applicationId, appUpdatePollInterval: 1000 }));
    const composition = { network_mode: "none" };
    cloud.addRelease({ id: 1, commit: "c1", services: { mine: part(1, mine, { composition }) } });
    cloud.fleet.config["RESIN_SUPERVISOR_POLL_INTERVAL"] = "1000";
    const agent = await agentOnEngine(["--config", config], folder);
    await until("it runs", () => cloud.devices.get(uuid)?.installs.get(mine)?.status === "Running", 60_000);

    // The other registry asks for a token too, but the device sends no key and gets none.
    const asked = cloud.asked.length;
    cloud.addRelease({ id: 2, commit: "c2", services: { theirs: part(2, theirs, { composition }) } });
    await until(
      "it is refused",
      () => agent.said.some((line) => /Failed to download image .*theirs/.test(line)),
      60_000,
    );
    const basics = cloud.asked.slice(asked).filter(({ path }) => path === "/auth/v1/token");
    expect(basics.length).toBeGreaterThan(0);
    expect(basics.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
    expect(agent.said.join("\n")).not.toContain(cloud.device(uuid).key);
  });

  test("runs its cloud's target state and sends each log line once, through an outage and a restart", async () => {
    const cloud = await startCloud({ shortestPollMs: 1000 });
    const folder = await temporaryFolder();
    const config = join(folder, "config.json");
    const given = {
      apiEndpoint: cloud.url,
      uuid,
      deviceType: "generic-amd64",
      apiKey: cloud.fleet.key,
      applicationId: 1,
    };
    await writeFile(config, JSON.stringify({ ...given, appUpdatePollInterval: 1000 }));
    // The cloud's first answer counts, before there is a release.
    cloud.fleet.config["RESIN_SUPERVISOR_POLL_INTERVAL"] = "1000";
    const first = await agentOnEngine(["--config", config], folder);
    await until("it is registered", () => cloud.devices.has(uuid));
    const known = cloud.device(uuid);
    const composition = { network_mode: "none" };
    cloud.setTarget(uuid, "c1", { id: 1, services: { talker: part(1, image, { composition }) } });

    const written = () => known.logs.filter(({ isSystem }) => !isSystem).map(({ message }) => message.trim());
    await until("it talks", () => written().length > 50, 60_000);
    await cloud.stop();
    await pause(2000);
    await first.stop();
    await pause(1000);
    await cloud.start();
    await agentOnEngine(["--config", config], folder);
    await until("all of it is there", () => written().at(-1) === `line ${lines - 1}`, 60_000);
    expect(written()).toEqual(Array.from({ length: lines }, (_, n) => `line ${n}`));
    expect(await names()).toEqual(["talker_1_1_c1"]);
    await until("it is reported", () => known.installs.get(image)?.status === "Running", 30_000);
  });
});
