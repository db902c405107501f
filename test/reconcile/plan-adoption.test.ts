import { describe, expect, test } from "vitest";
import type { Container } from "../../core/model/container.ts";
import type { Network } from "../../core/model/network.ts";
import { app, device, exited, held, network, running, sentences, strategy, times } from "./literals.ts";

const web = running("web", "web:1");
const release = app({ web: "web:1" });

/** With the variables and labels changed that these name; undefined takes one away. */
const withFields = (container: Container, fields: Partial<Container["spec"]>): Container => ({
  ...container,
  spec: { ...container.spec, ...fields },
});

describe("a container of the reference implementation", () => {
  const key = { BALENA_SUPERVISOR_API_KEY: "f".repeat(32), RESIN_SUPERVISOR_API_KEY: "f".repeat(32) };
  const supervisorApi = { labels: { "io.balena.features.supervisor-api": "1" } };
  const asks = running("web", "web:1", supervisorApi);
  const knowsKey = withFields(asks, { environment: { ...asks.spec.environment, ...key } });
  const networks = [network("default"), { ...network("default"), id: "supervisor0", name: "supervisor0" }];
  const wanted = app({ web: { image: "web:1", ...supervisorApi } });

  test("runs on", () => {
    expect(sentences(device([web]), release)).toEqual([]);
  });

  test("that is named after another release is renamed", () => {
    for (const name of ["web_7_1_abcdef", "web_7_1"])
      expect(sentences(device([{ ...web, name }]), release)).toEqual(["rename web to web_1_10_c1"]);
  });

  test("runs on with its own key for the API", () => {
    const apiKeys = new Map([["1/web", "f".repeat(32)]]);
    const labelled = networks.map((one) => ({
      ...one,
      spec: { ...one.spec, labels: one.name === "supervisor0" ? {} : one.spec.labels },
    }));
    expect(sentences(device([knowsKey], { apiKeys, networks: labelled }), wanted)).toEqual([]);
  });

  test("is replaced if its key for the API has changed", () => {
    const apiKeys = new Map([["1/web", "e".repeat(32)]]);
    expect(sentences(device([knowsKey], { apiKeys, networks, locks: held("web") }), wanted)).toEqual([
      "kill web (environment.BALENA_SUPERVISOR_API_KEY differs; environment.RESIN_SUPERVISOR_API_KEY differs)",
    ]);
  });

  test("runs on although the device's name has changed", () => {
    const { environment } = web.spec;
    const renamed = { ...environment, BALENA_DEVICE_NAME_AT_INIT: "before", RESIN_DEVICE_NAME_AT_INIT: "before" };
    expect(sentences(device([withFields(web, { environment: renamed })]), release)).toEqual([]);
  });

  test("runs on in its network, although the network's definition is not recorded", () => {
    const plain = network("default");
    const { labels } = plain.spec;
    const made: Network = {
      ...plain,
      spec: { ...plain.spec, labels, driverOptions: { "com.docker.network.bridge.name": "br-1" } },
    };
    expect(sentences(device([web], { networks: [made] }), release)).toEqual([]);
  });

  test("is replaced if the release is another one", () => {
    expect(sentences(device([web], { images: ["web:2"], locks: held("web") }), app({ web: "web:2" }))).toEqual([
      'kill web (image: "web:1" → "web:2")',
    ]);
  });
});

describe("on a device whose store was lost", () => {
  const lost = { runningSince: times.now, imageRecords: [], seen: new Set<string>(), stoppedBefore: new Set<string>() };

  test("a running container without a difference runs on", () => {
    expect(sentences(device([web], lost), release)).toEqual([]);
  });

  test("a stopped container is started", () => {
    expect(sentences(device([exited("web", "web:1")], lost), release)).toEqual(["start web"]);
  });

  test("images without a record stay", () => {
    expect(sentences(device([web], { ...lost, images: ["web:0"] }), release)).toEqual([]);
  });
});

describe("a difference that the engine made at creation", () => {
  const spec = { ...web.spec, user: "root", workingDir: "/app" };
  const user = { field: "user", from: "root", to: "" };
  const workingDir = { field: "working_dir", from: "/app", to: "" };
  const planned = (...tolerated: readonly (typeof user)[]) =>
    sentences(device([{ ...web, spec }], { tolerated: new Map([["web", tolerated]]), locks: held("web") }), release);

  test("is not a reason to replace a container", () => {
    expect(planned(user, workingDir)).toEqual(["release the update locks of app 1"]);
  });

  test("does not hide another difference", () => {
    expect(planned(user)).toEqual(['kill web (working_dir: "/app" → "")']);
  });

  test("is a reason if a later release changes the field", () => {
    expect(planned(user, { ...workingDir, to: "/srv" })).toEqual(['kill web (working_dir: "/app" → "")']);
  });
});

describe("a container that the engine could not remove", () => {
  const dead: Container = { ...web, state: "dead" };

  test("is removed, without locks", () => {
    expect(sentences(device([dead]), release)).toEqual(["kill web (the engine could not remove it)"]);
  });

  test("is not moved aside", () => {
    const handOver = strategy("hand-over");
    const current = device([{ ...running("web", "web:1", handOver), state: "dead" }]);
    expect(sentences(current, app({ web: { image: "web:1", ...handOver } }))).toEqual([
      "kill web (the engine could not remove it)",
    ]);
  });
});

describe("a container of which the engine has kept a task", () => {
  const errors = [
    "task c10bab3287611f26046a5c86742d8b65e1b4aa04ea22da5134ee91d1f789beba: already exists",
    "failed to create shim task: OCI runtime create failed: runc create failed: container with given ID already exists",
  ];
  const why = "the engine still has a task of it, and cannot start it";

  test.each(errors)("is replaced: %s", (error) => {
    const stuck: Container = { ...web, state: "created", startedAt: 0, error };
    expect(sentences(device([stuck]), release)).toEqual([`kill web (${why})`]);
    expect(sentences(device([{ ...web, state: "exited", error }]), release)).toEqual([`kill web (${why})`]);
  });

  test("stays if it runs, or if it has another error", () => {
    expect(sentences(device([{ ...web, error: errors[0] ?? "" }]), release)).toEqual([]);
    const other: Container = { ...web, state: "created", startedAt: 0, error: "port is already allocated" };
    expect(sentences(device([other]), release)).toEqual(["start web"]);
  });
});

describe("two containers of one service", () => {
  const other = { ...web, id: "other", name: "web_0" };

  test("the one without a difference stays, in any order", () => {
    const outdated = { ...running("web", "web:0"), id: "outdated" };
    for (const containers of [
      [web, outdated],
      [outdated, web],
    ])
      expect(sentences(device(containers, { locks: held("web") }), release)).toEqual([
        "kill web (no longer in the target state)",
      ]);
  });

  test("one of two without a difference stays", () => {
    expect(sentences(device([web, other], { locks: held("web") }), release)).toEqual([
      "kill web (no longer in the target state)",
    ]);
  });

  test("both are removed if both have differences", () => {
    const current = device([web, other], { images: ["web:2"], locks: held("web") });
    expect(sentences(current, app({ web: "web:2" }))).toEqual([
      'kill web (image: "web:1" → "web:2")',
      "kill web (no longer in the target state)",
    ]);
  });

  test("both stay until every image has arrived", () => {
    expect(sentences(device([web, other]), app({ web: "web:2" }))).toEqual(["fetch image web:2"]);
  });
});
