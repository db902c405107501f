import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { differences, type Difference } from "../../core/compose/differences.ts";
import { fromInspection, toCreateOptions } from "../../core/docker-api/container.ts";
import { toContainerSpec } from "../../core/compose/container-spec.ts";
import type { ContainerSpec } from "../../core/model/container.ts";
import type { ImageConfig } from "../../core/model/image.ts";
import { containerSpec, imageConfig, labels, variables } from "./arbitraries.ts";
import { echo, type Manner } from "./engine-echo.ts";
import { body, deviceFacts, entry, read } from "./read.ts";
import { imageId, plainImage, plainSpec } from "./specs.ts";

/**
 * A newly created container must not differ from its definition, or it would be replaced repeatedly. The comparison must
 * find no difference, however the engine returns the definition.
 */

const manner: fc.Arbitrary<Manner> = fc.record({
  emptyIsNull: fc.boolean(),
  addsPath: fc.boolean(),
  started: fc.boolean(),
  choosesMac: fc.boolean(),
});

const plainManner: Manner = { emptyIsNull: false, addsPath: false, started: true, choosesMac: false };

/** The differences between a definition and its newly created container. */
function remaining(wish: ContainerSpec, image: ImageConfig = plainImage, how: Manner = plainManner): Difference[] {
  const made = fromInspection(echo(toCreateOptions(wish), image, how));
  if (!made) throw new Error("The container is not recognised as one of ours");
  return differences(made.spec, wish);
}

function wishOf(fields: object, image: ImageConfig = plainImage): ContainerSpec {
  const { app } = read(body({ "1": entry(fields) }));
  const [service] = app.services;
  if (!service) throw new Error("There is no service");
  return toContainerSpec(service, app, deviceFacts, { id: imageId, config: image }, "service-key");
}

test("any container in its normal form is returned by the engine without differences", () => {
  fc.assert(
    fc.property(containerSpec, manner, (wish, how) => {
      expect(remaining(wish, plainImage, how)).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

/** Any service of a composition, in many spellings. */
const composition = fc
  .record(
    {
      command: fc.constantFrom(null, "", "run --now", ["run", "--now"], []),
      entrypoint: fc.constantFrom(null, "", "/entry", ["/entry", "-x"], []),
      environment: variables,
      labels: fc.oneof(
        labels,
        fc
          .subarray(["supervisor-api", "dbus", "balena-socket", "gpu", "balena-api"])
          .map((features) => Object.fromEntries(features.map((feature) => [`io.balena.features.${feature}`, "1"]))),
        fc.constant({ "io.balena.update.monitor": "30s", "io.balena.update.strategy": "hand-over" }),
      ),
      hostname: fc.constantFrom("kitchen", ""),
      user: fc.constantFrom("node", 1000, 0, ""),
      working_dir: fc.constantFrom("/app", "/app/", "/", "//", "/a/./b", "/a//b/../c", ""),
      stop_signal: fc.constantFrom("SIGINT", "9"),
      restart: fc.constantFrom("no", false, "always", "on-failure", "on-failure:3", "unless-stopped", "banana"),
      healthcheck: fc.constantFrom(
        null,
        {},
        { disable: true },
        { test: ["NONE"] },
        { test: "curl localhost" },
        { test: ["CMD", "true"], interval: "1m", retries: 0 },
        { interval: "5s", timeout: 0 },
        { start_period: "1s", retries: 3 },
        { test: ["CMD", "true"], start_period: "30s", start_interval: "1s" },
        { start_interval: "2s" },
      ),
      deploy: fc.constantFrom(null, { update_config: { monitor: "30s", order: "start-first" }, replicas: 2 }),
      ports: fc.subarray(["80", "8080:80", "127.0.0.1::53/udp", "9000-9002:9000-9002", "7000-7005:70"]),
      volumes: fc.subarray([
        "data:/data",
        "logs:/logs:ro",
        "x:/x:nocopy,ro",
        { type: "tmpfs", target: "/t1", tmpfs: { size: 1024, mode: 0o1777 } },
        { type: "tmpfs", target: "/t2", read_only: true },
        { type: "volume", source: "data", target: "/again", read_only: true, volume: { nocopy: true } },
        "data:/tmp/balena",
      ]),
      tmpfs: fc.constantFrom("/run", ["/run:size=1m,mode=1777", "/r2:ro"]),
      network_mode: fc.constantFrom(null, null, null, "host", "none", "bridge"),
      networks: fc.constantFrom(
        null,
        ["front", "back"],
        { front: { aliases: ["web", "a"], ipv4_address: "172.30.0.5" }, back: null },
        { front: { ipv6_address: "2001:db8::5", link_local_ips: ["169.254.2.2", "169.254.1.1"] } },
      ),
      cap_add: fc.constantFrom(["net_admin", "CAP_SYS_TIME"], "ALL"),
      cap_drop: fc.constantFrom(["all"], []),
      cpus: fc.constantFrom(0.5, "1.25"),
      cpu_shares: fc.constantFrom(512, 0),
      devices: fc.constantFrom(["/dev/b:/dev/c:r", "/dev/a"], []),
      dns: fc.constantFrom("8.8.8.8", ["8.8.8.8", "1.1.1.1", "8.8.8.8"]),
      domainname: fc.constantFrom("example.com", ""),
      extra_hosts: fc.constantFrom(["b:10.0.0.2", "a:10.0.0.1"], { a: "10.0.0.1" }),
      group_add: fc.constantFrom(["video", "audio", "video"], [44]),
      init: fc.boolean(),
      ipc: fc.constantFrom("host", "shareable", "private"),
      mac_address: fc.constantFrom("02:42:ac:11:00:02", ""),
      mem_limit: fc.constantFrom("64m", 0),
      oom_score_adj: fc.constantFrom(-500, "0"),
      pid: fc.constantFrom("host", ""),
      pids_limit: fc.constantFrom(100, 0, -1, -5),
      privileged: fc.boolean(),
      read_only: fc.boolean(),
      security_opt: fc.constantFrom(["no-new-privileges"], ["label=disable"], ["label=disable", "seccomp=unconfined"]),
      shm_size: fc.constantFrom("64m", "128m", 0),
      stop_grace_period: fc.constantFrom("0s", "10s", "1m30s", 1.5),
      sysctls: fc.constantFrom({ "net.core.somaxconn": 1024 }, []),
      tty: fc.boolean(),
      ulimits: fc.constantFrom({ nproc: -1, nofile: { soft: 1, hard: 2 } }, {}),
      userns_mode: fc.constantFrom("host", ""),
    },
    { requiredKeys: [] },
  )
  // JSON has no undefined and no -0.
  .map((fields): object => JSON.parse(JSON.stringify(fields)));

test("any composition with any image is returned by the engine without differences", () => {
  fc.assert(
    fc.property(composition, imageConfig, manner, (fields, image, how) => {
      expect(remaining(wishOf(fields, image), image, how)).toEqual([]);
    }),
    { numRuns: 1000 },
  );
});

describe("despite the engine's own changes, there is no difference:", () => {
  const node = { ...plainImage, environment: { PATH: "/opt/node/bin:/bin", LANG: "C" }, workingDir: "/srv" };

  test.each<[string, object, ImageConfig]>([
    ["a working folder is written without detours", { working_dir: "/a/./b//c/../d/" }, plainImage],
    ["a name of one's own is kept on the host's network", { network_mode: "host", hostname: "kitchen" }, plainImage],
    ["on the host's network without one, the host's shows", { network_mode: "host" }, plainImage],
    ["privileged containers get label=disable", { privileged: true }, plainImage],
    ["so do those that share the host's processes", { pid: "host" }, plainImage],
    ["label=disable may be asked for", { security_opt: ["label=disable"] }, plainImage],
    ["any negative number of processes is none", { pids_limit: -5 }, plainImage],
    [
      "the usual PATH can be asked for where the image has another",
      { environment: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" } },
      node,
    ],
    ["what the image sets is added", { environment: { LANG: "de" } }, node],
    [
      "a tmpfs of the long form may be read-only",
      { volumes: [{ type: "tmpfs", target: "/t", read_only: true }] },
      plainImage,
    ],
    ["an entrypoint drops the image's command", { entrypoint: ["/entry"] }, plainImage],
    ["an empty entrypoint leaves the image's command", { entrypoint: [] }, { ...plainImage, entrypoint: ["/entry"] }],
    [
      "a healthcheck is completed with the image's",
      { healthcheck: { interval: "5s" } },
      { ...plainImage, healthcheck: { test: ["CMD", "x"], interval: 1, timeout: 2, startPeriod: 3, retries: 4 } },
    ],
    [
      "a healthcheck can be switched off that the image has",
      { healthcheck: { disable: true } },
      { ...plainImage, healthcheck: { test: ["CMD", "x"], interval: 1, timeout: 2, startPeriod: 3, retries: 4 } },
    ],
  ])("%s", (_, fields, image) => {
    for (const started of [false, true])
      expect(remaining(wishOf(fields, image), image, { ...plainManner, started })).toEqual([]);
  });

  test("a running container in another's network has the other's host name", () => {
    const wish: ContainerSpec = {
      ...plainSpec,
      labels: { "io.balena.app-id": "1", "io.balena.service-name": "one" },
      networkMode: `container:${"b".repeat(64)}`,
      networks: {},
    };
    for (const started of [false, true]) expect(remaining(wish, plainImage, { ...plainManner, started })).toEqual([]);
  });

  test("a PATH of the composition is still compared", () => {
    const wish = wishOf({ environment: { PATH: "/mine" } });
    const made = fromInspection(echo(toCreateOptions(wish), plainImage, plainManner));
    expect(made?.spec.environment["PATH"]).toBe("/mine");
  });
});

describe("a MAC address", () => {
  const manners = [true, false].flatMap((started) =>
    [true, false].map((choosesMac): Manner => ({ ...plainManner, started, choosesMac })),
  );
  const asked = { mac_address: "02:42:ac:11:00:02" };
  const made = (fields: object, how: Manner) => {
    const container = fromInspection(echo(toCreateOptions(wishOf(fields)), plainImage, how));
    if (!container) throw new Error("no container");
    return container.spec;
  };

  test.each(manners)("is compared by the requested value, whatever is in use: %j", (how) => {
    for (const network of [{}, { network_mode: "bridge" }]) {
      const wish = { ...asked, ...network };
      expect(differences(made(wish, how), wishOf(wish))).toEqual([]);
      expect(differences(made(network, how), wishOf(network))).toEqual([]);
      const changes = [
        [made(network, how), wishOf(wish)],
        [made(wish, how), wishOf(network)],
        [made(wish, how), wishOf({ ...wish, mac_address: "02:42:ac:11:00:03" })],
      ] as const;
      for (const [from, to] of changes)
        expect(differences(from, to).map(({ field }) => field)).toEqual(["mac_address"]);
    }
  });

  test("is sent in the fields of old and new engines", () => {
    for (const network_mode of [undefined, "bridge"])
      expect(toCreateOptions(wishOf({ ...asked, ...(network_mode && { network_mode }) })).options).toMatchObject({
        MacAddress: asked.mac_address,
        NetworkingConfig: { EndpointsConfig: { [network_mode ?? "1_default"]: { MacAddress: asked.mac_address } } },
      });
  });

  test("of a container without the label, such as the reference implementation's, is the engine's value", () => {
    const { Config, ...rest } = echo(toCreateOptions(wishOf(asked)), plainImage, plainManner);
    const { "io.fairlead.mac-address": _, ...labels } = Config.Labels ?? {};
    const container = fromInspection({ ...rest, Config: { ...Config, Labels: labels } });
    expect(container && differences(container.spec, wishOf(asked))).toEqual([]);
  });

  test("cannot be set in the label by a composition", () => {
    const labels = { "io.fairlead.mac-address": "02:42:ac:11:00:09" };
    expect(wishOf({ labels }).labels).not.toHaveProperty("io.fairlead.mac-address");
    expect(differences(made({ labels }, plainManner), wishOf({ labels }))).toEqual([]);
  });
});
