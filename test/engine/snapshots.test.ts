import { beforeAll, describe, expect, test } from "vitest";
import { makeImage, noDocker } from "../support/docker.ts";
import { runIn } from "../support/volumes.ts";
import { agentOnEngine, docker, target, watch } from "./on-the-engine.ts";

const tools = "fairlead-snapshot-old:1";
const broken = "fairlead-snapshot-new:1";

/** An update that changes the data of a volume and then fails, on a real engine. */
describe.skipIf(noDocker !== undefined)("a release that breaks its data and then crashes", () => {
  beforeAll(async () => {
    await makeImage(docker, tools);
    const migration = `rm -r /data/records; echo broken > /data/db; chown 7:7 /data /data/db
      echo more > /data/new; sleep 1; exit 1`;
    await makeImage(docker, broken, migration);
  });

  const release = (n: number, image: string) =>
    target(
      {
        web: { image, volumes: ["data:/data"], restart: "always", labels: { "io.balena.update.monitor": "5s" } },
        reader: { image: tools, volumes: ["data:/data:ro"] },
      },
      {
        commit: `c${n}`,
        releaseId: n,
        config: { SUPERVISOR_SAFE_UPDATES: "on" },
        volumes: { data: { labels: { "io.balena.update.snapshot": "true" } } },
      },
    );
  const gaveUp = "Release c2 of app 1 is not tried again until the target changes";
  const volume = "1_data";
  const content = () =>
    runIn(
      docker,
      tools,
      volume,
      `/bin/busybox find . | /bin/busybox sort | while read -r one; do
        stat -c '%n %F %a %u:%g %h %Y %N' "$one"; [ -f "$one" ] && /bin/busybox sha256sum "$one"; done; true`,
    );
  const volumes = async () =>
    (await docker.listVolumes()).Volumes.map(({ Name }) => Name).filter((name) => name.endsWith(volume));
  const imageOfWeb = async () =>
    (await docker.listContainers({ all: true, filters: { label: ["io.balena.service-name=web"] } })).map(
      ({ Image, State }) => `${Image} ${State}`,
    );

  /** The old release serves, and its data is written. Returns the data. */
  async function served(agent: Awaited<ReturnType<typeof agentOnEngine>>): Promise<string> {
    await agent.accept(release(1, tools));
    await agent.settled();
    await runIn(
      docker,
      tools,
      volume,
      `set -e; /bin/busybox mkdir -p records/a; /bin/busybox head -c 2000000 /dev/urandom > records/a/bytes
      /bin/busybox ln records/a/bytes records/b; /bin/busybox ln -s db link; echo good > db; chown 1000:1000 . db`,
    );
    return content();
  }

  test("goes back to the old release with its data, byte by byte", async () => {
    const agent = await agentOnEngine();
    const before = await served(agent);
    const oldImage = await imageOfWeb();
    const happened = await watch();
    await agent.accept(release(2, broken));
    await expect.poll(() => agent.said.join("\n"), { timeout: 90_000 }).toContain(gaveUp);
    await agent.settled();
    expect(happened.map(({ what }) => what).join("\n")).toMatch(/die web_1_2_c2/);
    expect(await content()).toBe(before);
    expect(await imageOfWeb()).toEqual(oldImage);
    await expect.poll(volumes).toEqual([volume]);
  });

  test("also when the agent ends while the release is tried", async () => {
    const agent = await agentOnEngine();
    const before = await served(agent);
    await agent.accept(release(2, broken));
    await expect.poll(content, { timeout: 60_000, interval: 300 }).toContain("./new");
    expect((await volumes()).toSorted()).toEqual([volume, `before_${volume}`]);
    await agent.stop();
    const next = await agentOnEngine([], agent.folder);
    await expect.poll(() => next.said.join("\n"), { timeout: 90_000 }).toContain(gaveUp);
    await next.settled();
    expect(await content()).toBe(before);
    await expect.poll(volumes).toEqual([volume]);
  });
});
