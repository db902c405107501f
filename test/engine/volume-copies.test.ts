import Docker from "dockerode";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../core/ports/clock.ts";
import { EngineError } from "../../core/ports/engine.ts";
import { DockerEngine } from "../../runtimes/node/engine/docker-engine.ts";
import { makeImage, noDocker, sweep } from "../support/docker.ts";
import { archiveOf, putInto, runIn } from "../support/volumes.ts";

/** What the copy of a volume keeps, and what is left when it fails. */
describe.skipIf(noDocker !== undefined)("the copy of a volume", () => {
  const docker = new Docker();
  const tools = "copies:1";
  const label = "io.fairlead.volume-copy";
  const plain = { driver: "local", driverOptions: {}, labels: { "io.balena.supervised": "true" } };
  const [from, to] = ["4713_data", "4713_data_before"];
  const never = new AbortController().signal;
  let engine: DockerEngine;
  let image: string;

  beforeAll(async () => {
    await makeImage(docker, tools);
    // As awkward as an image can be: no shell, a read-only user, and files where the volume is.
    image = await makeImage(docker, "copies-odd:1", undefined, [
      "COPY root/bin /fairlead-volume/of-the-image",
      "VOLUME /of-its-own",
      "USER 1234",
      "ENTRYPOINT []",
      "CMD []",
      'HEALTHCHECK CMD ["false"]',
    ]);
    engine = await DockerEngine.connect(systemClock);
  });
  afterEach(() => sweep(docker));

  const copy = () => engine.copyVolume(from, { name: to, spec: plain }, image, never);
  const helpers = () => docker.listContainers({ all: true, filters: { label: [label] } });
  const volumes = async () => (await docker.listVolumes()).Volumes.map(({ Name }) => Name);

  test("has the same owners, modes, times, links, devices, names and bytes", async () => {
    await engine.createVolume(from, plain);
    await runIn(
      docker,
      tools,
      from,
      `set -e; b=/bin/busybox
      $b head -c 3000000 /dev/urandom > bytes; : > nothing
      chown 1234:5678 bytes; $b chmod 4751 bytes; $b ln bytes hard; $b ln -s /etc/passwd absolute; $b ln -s nowhere dangling
      $b mkdir -p empty/deeper "a folder
with a line"; $b chmod 1777 empty; echo x > "a folder
with a line/é*"
      long=$($b printf '%0200d' 1); $b mkdir -p $long/$long; echo long > $long/$long/$long
      $b mkfifo pipe; $b mknod null c 1 3; echo secret > mine; $b chmod 0 mine; touch -t 200102030405.06 empty bytes
      chown 99:98 .; $b chmod 2700 .; touch -t 200202020202.02 .`,
    );
    await copy();
    const seen = (volume: string) =>
      runIn(
        docker,
        tools,
        volume,
        `/bin/busybox find . | /bin/busybox sort | while read -r one; do
          stat -c '%n %F %a %u:%g %h %t:%T %Y %N' "$one"; [ -f "$one" ] && /bin/busybox sha256sum "$one"; done; true`,
      );
    const before = await seen(from);
    expect(before).toMatch(/bytes regular file 4751 1234:5678 2 0:0 981173106/);
    expect(before).toMatch(/^\. directory 2700 99:98 /);
    expect(await seen(to)).toBe(before);
  });

  test("has the capabilities of programs", async () => {
    await engine.createVolume(from, plain);
    // Revision 2, effective, cap_net_raw. Source: capability.h.
    const capability = "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    const name = "SCHILY.xattr.security.capability";
    await putInto(docker, tools, from, [{ path: "ping", content: "#!", pax: { [name]: capability } }]);
    await copy();
    expect(await archiveOf(docker, tools, to)).toContain(`${name}=${capability}`);
  });

  test("that does not fit fails with the engine's sentence, and leaves nothing", async () => {
    await engine.createVolume(from, plain);
    await runIn(docker, tools, from, "/bin/busybox head -c 8000000 /dev/zero > large");
    const small = { ...plain, driverOptions: { type: "tmpfs", device: "tmpfs", o: "size=1m" } };
    await expect(engine.copyVolume(from, { name: to, spec: small }, image, never)).rejects.toThrow(
      /no space left on device/,
    );
    expect(await helpers()).toEqual([]);
    expect(await volumes()).not.toContain(to);
  });

  test("leaves no anonymous volume, and no container that the agent takes for a service", async () => {
    await engine.createVolume(from, plain);
    await runIn(docker, tools, from, "/bin/busybox head -c 100000000 /dev/zero > large");
    const before = await volumes();
    const copied = copy();
    await expect.poll(async () => (await helpers()).length, { interval: 1 }).toBe(2);
    expect((await engine.look({ fresh: true })).containers).toEqual([]);
    // A look removes only what no copy is using.
    expect(await helpers()).toHaveLength(2);
    await copied;
    expect(await helpers()).toEqual([]);
    expect((await volumes()).toSorted()).toEqual([...before, to].toSorted());
  });

  test("that a crash has ended leaves containers, which the next start removes", async () => {
    await engine.createVolume(from, plain);
    await docker.createContainer({
      Image: image,
      Cmd: ["never-started"],
      Labels: { [label]: "of a process that is gone" },
      HostConfig: { Binds: [`${from}:/fairlead-volume`] },
    });
    await expect(engine.removeVolume(from)).rejects.toBeInstanceOf(EngineError);
    const next = await DockerEngine.connect(systemClock);
    await next.look({ fresh: false });
    expect(await helpers()).toEqual([]);
    await next.removeVolume(from);
  });
});
