import { describe, expect, test } from "vitest";
import { supervisorNetworkSpec } from "../../core/compose/definitions.ts";
import type { Network } from "../../core/model/network.ts";
import { isSettled } from "../../core/reconcile/plan.ts";
import {
  app,
  device,
  downloading,
  inVain,
  network,
  prepared,
  running,
  sentences,
  sentencesFor,
  target,
} from "./literals.ts";

describe("the network on which services reach the API", () => {
  const labels = { "io.balena.features.supervisor-api": "1" };
  const gateway: Network = { id: "supervisor0", name: "supervisor0", spec: supervisorNetworkSpec };
  const container = running("web", "web:1", { labels });
  const asks = app({ web: { image: "web:1", labels } });
  // Without a key: none is known to these devices.
  const networks = [network("default"), gateway];

  test("is created for a service that uses the API, and the service waits for it", () => {
    expect(sentences(device([], { images: ["web:1"], gatewayOpen: false }), asks)).toEqual([
      "create network supervisor0",
      "wait for network supervisor0",
    ]);
  });

  test("gets a listener once it exists", () => {
    expect(sentences(device([container], { networks, gatewayOpen: false }), asks)).toEqual([
      "answer the API on 10.114.104.1",
    ]);
  });

  test("is ready once the agent listens on it", () => {
    expect(sentences(device([container], { networks, gatewayOpen: true }), asks)).toEqual([]);
  });

  test("is ready without a listener if the agent cannot listen on it", () => {
    expect(sentences(device([container], { networks, gatewayOpen: undefined }), asks)).toEqual([]);
  });

  test("is not created if no service uses the API", () => {
    expect(sentences(device([running("web", "web:1")], { gatewayOpen: false }), app({ web: "web:1" }))).toEqual([]);
  });

  test("stays if no service uses the API any more", () => {
    const current = device([running("web", "web:1")], { networks, gatewayOpen: true });
    expect(sentences(current, app({ web: "web:1" }))).toEqual([]);
  });

  test("is created also for services on the host's network, although they reach the API without it", () => {
    const onHost = { image: "web:1", labels, network_mode: "host" };
    expect(sentences(device([], { images: ["web:1"], networks: [] }), app({ web: onHost }))).toEqual([
      "create network supervisor0",
      "install and start web",
    ]);
  });
});

describe("the files of configs and secrets", () => {
  const wish = (content: string) =>
    app({ web: { image: "web:1", secrets: ["psk"] } }, { secrets: { psk: { content } } });
  const having = (content: string) => running("web", "web:1", { secrets: ["psk"] }, { secrets: { psk: { content } } });

  test("stay while the target or a container uses them, and others are removed", () => {
    const files = new Set(["file-old", "file-new", "file-other"]);
    expect(sentences(device([having("new")], { files }), wish("new"))).toEqual([
      "remove file file-old, which no service uses",
      "remove file file-other, which no service uses",
    ]);
  });

  test("of a container that is about to be replaced stay until then", () => {
    const sentence = sentences(device([having("old")], { files: new Set(["file-old"]) }), wish("new"));
    expect(sentence.filter((one) => one.startsWith("remove file"))).toEqual([]);
    expect(sentence[0]).toBe("take the update locks of app 1");
  });

  test("of an interrupted container stay", () => {
    const { id, name, spec } = having("old");
    const interrupted = new Map([["1/web", { id, name, spec }]]);
    const current = device([], { files: new Set(["file-old"]), interrupted, images: ["web:1"] });
    expect(sentences(current, wish("new"))).toEqual(["install and start web"]);
  });

  test("of a container that an update has created before its start stay", () => {
    const next = prepared("web", "web:1", { secrets: ["psk"] }, { secrets: { psk: { content: "old" } } });
    const current = device([], { files: new Set(["file-old"]), prepared: [next], images: ["web:1"] });
    expect(sentences(current, app({})).filter((one) => one.startsWith("remove file"))).toEqual([]);
  });

  test("are removed with their last service", () => {
    expect(sentences(device([], { files: new Set(["file-old"]) }), app({}))).toContain(
      "remove file file-old, which no service uses",
    );
  });
});

describe("a required reboot", () => {
  const web = running("web", "web:1");
  const rebootRequired = true;

  test("is planned if there are no other steps", () => {
    expect(sentences(device([web], { rebootRequired }), app({ web: "web:1" }))).toEqual([
      "reboot, for what takes effect only then",
    ]);
  });

  test("waits for the steps of every application and of the device", () => {
    expect(sentences(device([], { rebootRequired, images: ["web:1"] }), app({ web: "web:1" }))).toEqual([
      "install and start web",
    ]);
    expect(sentences(device([web], { rebootRequired, firewall: "unset" }), app({ web: "web:1" }))).toEqual([
      "set the firewall: the host open, the API for services only",
    ]);
  });

  test("waits for downloads", () => {
    const current = device([web], { rebootRequired, downloads: downloading("db:1") });
    expect(sentences(current, app({ web: "web:1", db: "db:1" }))).toEqual(["wait for image db:1"]);
  });

  test("is planned until the machine has rebooted", () => {
    const current = device([web], { rebootRequired });
    const wanted = target([app({ web: "web:1" })]);
    expect(sentencesFor(inVain(current, wanted), wanted)).toEqual(["reboot, for what takes effect only then"]);
  });

  test("waits for a change of the boot configuration", () => {
    const bootConfig = { is: "here", prefix: "HOST_CONFIG_", forbidden: [], settings: {} } as const;
    const wanted = target([app({ web: "web:1" })], { config: { HOST_CONFIG_gpu_mem: "16" } });
    expect(sentencesFor(device([web], { rebootRequired, bootConfig }), wanted)).toEqual([
      "set the boot configuration: gpu_mem=16",
    ]);
  });
});

test("a plan without steps and waits is settled", () => {
  expect(isSettled(undefined)).toBe(true);
  expect(isSettled([])).toBe(true);
  expect(isSettled([{ action: "wait", reason: "image web:1" }])).toBe(false);
  expect(isSettled([{ action: "reboot" }])).toBe(false);
});
