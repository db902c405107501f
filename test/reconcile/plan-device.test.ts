import { describe, expect, test } from "vitest";
import { supervisorNetworkSpec } from "../../core/compose/definitions.ts";
import type { Network } from "../../core/model/network.ts";
import { isSettled } from "../../core/reconcile/plan.ts";
import { app, device, downloading, inVain, network, running, sentences, sentencesFor, target } from "./literals.ts";

describe("the network on which services reach the API", () => {
  const labels = { "io.balena.features.supervisor-api": "1" };
  const gateway: Network = { id: "supervisor0", name: "supervisor0", spec: supervisorNetworkSpec };
  const container = running("web", "web:1", { labels });
  const asks = app({ web: { image: "web:1", labels } });
  // Without a key: none is known to these devices.
  const networks = [network("default"), gateway];

  test("is made for a service that asks for the API, which waits for it", () => {
    expect(sentences(device([], { images: ["web:1"], gatewayOpen: false }), asks)).toEqual([
      "create network supervisor0",
      "wait for network supervisor0",
    ]);
  });

  test("is answered on when it is there", () => {
    expect(sentences(device([container], { networks, gatewayOpen: false }), asks)).toEqual([
      "answer the API on 10.114.104.1",
    ]);
  });

  test("is ready when it is answered on", () => {
    expect(sentences(device([container], { networks, gatewayOpen: true }), asks)).toEqual([]);
  });

  test("needs no answer of an agent that cannot listen there", () => {
    expect(sentences(device([container], { networks, gatewayOpen: undefined }), asks)).toEqual([]);
  });

  test("is not made when no service asks for the API", () => {
    expect(sentences(device([running("web", "web:1")], { gatewayOpen: false }), app({ web: "web:1" }))).toEqual([]);
  });

  test("stays when no service asks for it any more", () => {
    const current = device([running("web", "web:1")], { networks, gatewayOpen: true });
    expect(sentences(current, app({ web: "web:1" }))).toEqual([]);
  });

  test("is made also on the host's network, whose services reach the API without it", () => {
    const onHost = { image: "web:1", labels, network_mode: "host" };
    expect(sentences(device([], { images: ["web:1"], networks: [] }), app({ web: onHost }))).toEqual([
      "create network supervisor0",
      "install and start web",
    ]);
  });
});

describe("a reboot that is required", () => {
  const web = running("web", "web:1");
  const rebootRequired = true;

  test("comes when there is nothing else to do", () => {
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

  test("waits for what is on its way", () => {
    const current = device([web], { rebootRequired, downloads: downloading("db:1") });
    expect(sentences(current, app({ web: "web:1", db: "db:1" }))).toEqual(["wait for image db:1"]);
  });

  test("is due as long as the machine has not rebooted", () => {
    const current = device([web], { rebootRequired });
    const wanted = target([app({ web: "web:1" })]);
    expect(sentencesFor(inVain(current, wanted), wanted)).toEqual(["reboot, for what takes effect only then"]);
  });

  test("comes before the boot configuration has another effect", () => {
    const bootConfig = { is: "here", prefix: "HOST_CONFIG_", forbidden: [], settings: {} } as const;
    const wanted = target([app({ web: "web:1" })], { config: { HOST_CONFIG_gpu_mem: "16" } });
    expect(sentencesFor(device([web], { rebootRequired, bootConfig }), wanted)).toEqual([
      "set the boot configuration: gpu_mem=16",
    ]);
  });
});

test("a plan is settled when there is nothing to do, nor to wait for", () => {
  expect(isSettled(undefined)).toBe(true);
  expect(isSettled([])).toBe(true);
  expect(isSettled([{ action: "wait", reason: "image web:1" }])).toBe(false);
  expect(isSettled([{ action: "reboot" }])).toBe(false);
});
