import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { part, until } from "../cloud/fleet.ts";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { makeImage, noDocker } from "../support/docker.ts";
import { startCloud } from "../support/fake-cloud.ts";
import { agentOnEngine, docker, names, pause } from "./on-the-engine.ts";

/** An agent on a real engine, with a cloud. */

const uuid = "c".repeat(32);
const image = "fairlead-cloud:1";
const lines = 400;

/** Some lines at once, then some more from time to time, over eight seconds. */
const talker = `
n=0
while [ $n -lt ${lines} ]; do
  echo "line $n"
  n=$((n + 1))
  test $((n % 50)) -eq 0 && sleep 1
done
sleep 1000
`;

describe.skipIf(noDocker !== undefined)("a managed device", () => {
  beforeAll(() => makeImage(docker, image, talker));

  test("runs what its cloud says, and delivers each line of its log once, through an outage and a restart", async () => {
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
    const first = await agentOnEngine(["--config", config], folder);
    await until("it is registered", () => cloud.devices.has(uuid));
    const known = cloud.device(uuid);
    known.config = { RESIN_SUPERVISOR_POLL_INTERVAL: "1000" };
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
