import { describe, expect, test } from "vitest";
import { networkModeOf } from "../../core/compose/namespaces.ts";
import { parseLocalTarget } from "../../core/compose/target-state.ts";
import type { App, TargetState } from "../../core/model/target.ts";
import { facts } from "./read.ts";
import { specifiedBody } from "../support/specification.ts";

/** Bodies from clients and from the specification, which must be accepted unchanged and without warnings. */

function accept(sent: object): TargetState {
  const parsed = parseLocalTarget(sent, facts, "before");
  if (!parsed.ok) throw new Error(parsed.faults.join("\n"));
  expect(parsed.warnings).toEqual([]);
  return parsed.target;
}

function appOf({ apps }: TargetState): App {
  const [app] = apps;
  if (!app || apps.length > 1) throw new Error(`Expected one application, but got ${apps.length}`);
  return app;
}

const dependent = { apps: [], devices: [] };

const localApp = (services: object, more: object = {}): object => ({
  local: {
    name: "local",
    config: { RESIN_SUPERVISOR_LOCAL_MODE: "1" },
    apps: { "1": { name: "localapp", commit: "10ca12e1ea5e", releaseId: "1", services, volumes: {}, ...more } },
  },
  dependent,
});

test("a composition of balena-cli 25 is accepted without warnings", () => {
  const service = (name: string, id: number, more: object) => ({
    labels: {},
    networks: { default: null },
    imageId: id,
    serviceName: name,
    serviceId: id,
    image: `local_image_${name}:latest`,
    running: true,
    ...more,
  });
  const target = accept(
    localApp(
      {
        "1": service("alpha", 1, {
          environment: { X: "1", Y: "2" },
          command: ["sh", "-c", "while true; do date; sleep 1; done"],
        }),
        "2": service("beta", 2, { environment: { Y: "2" }, command: null }),
      },
      { networks: { default: { ipam: {} } } },
    ),
  );
  expect(target).toMatchObject({ name: "local", config: { SUPERVISOR_LOCAL_MODE: "1" } });
  const app = appOf(target);
  expect(app).toMatchObject({ appId: 1, uuid: "1", commit: "10ca12e1ea5e", releaseId: 1 });
  expect(app.services).toMatchObject([
    {
      name: "alpha",
      serviceId: 1,
      imageId: 1,
      running: true,
      image: { name: "local_image_alpha:latest" },
      config: {
        command: ["sh", "-c", "while true; do date; sleep 1; done"],
        environment: { X: "1", Y: "2" },
        networks: { default: { aliases: [] } },
      },
    },
    { name: "beta", serviceId: 2, imageId: 2, config: { environment: { Y: "2" } } },
  ]);
  expect(app.services[1]?.config).not.toHaveProperty("command");
  expect(Object.keys(app.networks)).toEqual(["default"]);
});

test("a composition of balena-cli 22 is accepted without warnings", () => {
  const app = appOf(
    accept(
      localApp(
        {
          "1": {
            environment: {},
            labels: {},
            command: "sh -c 'while true; do date; sleep 1; done'",
            imageId: 1,
            serviceName: "alpha",
            serviceId: 1,
            image: "local_alpha",
            running: true,
          },
        },
        { networks: {} },
      ),
    ),
  );
  expect(app.services).toMatchObject([
    {
      name: "alpha",
      image: { name: "local_alpha:latest" },
      config: { command: ["sh", "-c", "while true; do date; sleep 1; done"] },
    },
  ]);
});

test("a single Dockerfile of either version is accepted without warnings", () => {
  const features = ["kernel-modules", "firmware", "dbus", "supervisor-api", "balena-api"];
  const app = appOf(
    accept(
      localApp(
        {
          "1": {
            environment: {},
            labels: Object.fromEntries(features.map((feature) => [`io.resin.features.${feature}`, "1"])),
            imageId: 1,
            serviceName: "main",
            serviceId: 1,
            image: "local_image_main:latest",
            running: true,
            privileged: true,
            tty: true,
            restart: "always",
            network_mode: "host",
            volumes: ["resin-data:/data"],
          },
        },
        { volumes: { "resin-data": {} }, networks: {} },
      ),
    ),
  );
  expect(Object.keys(app.volumes)).toEqual(["resin-data"]);
  expect(app.networks).toEqual({});
  expect(app.services).toMatchObject([
    {
      name: "main",
      config: {
        labels: Object.fromEntries(features.map((feature) => [`io.balena.features.${feature}`, "1"])),
        settings: { privileged: true },
        restart: { name: "always", retries: 0 },
        networkMode: "host",
        mounts: [{ type: "volume", source: "resin-data", target: "/data" }],
      },
    },
  ]);
});

/** The current balena-cli sends compositions that compose-go has normalized. */
test("fields of balena-cli 25 in compose-go's form are accepted", () => {
  const app = appOf(
    accept(
      localApp(
        {
          "1": {
            serviceName: "one",
            serviceId: 1,
            imageId: 1,
            image: "local_image_one:latest",
            running: true,
            environment: {},
            labels: {},
            command: null,
            depends_on: ["two"],
            devices: ["/dev/null:/dev/x:rwm"],
            extra_hosts: ["db=10.0.0.1"],
            healthcheck: { test: ["CMD", "true"], timeout: "10s", interval: "1m30s", retries: 3, start_period: "40s" },
            mem_limit: "67108864",
            networks: { default: null },
            ports: ["8080:80", "127.0.0.1:5353:53/udp"],
            shm_size: "134217728",
            stop_grace_period: "1m0s",
            sysctls: { "net.core.somaxconn": "1024" },
            tmpfs: ["/run"],
            ulimits: { nofile: { soft: 1024, hard: 2048 }, nproc: 64 },
            volumes: ["data:/data:ro"],
          },
          "2": {
            serviceName: "two",
            serviceId: 2,
            imageId: 2,
            image: "local_image_two:latest",
            running: true,
            environment: {},
            labels: {},
            networks: { default: null },
          },
        },
        { volumes: { data: {} }, networks: { default: { ipam: {} } } },
      ),
    ),
  );
  expect(app.services[0]?.dependsOn).toEqual([{ service: "two", condition: "service_started" }]);
  expect(app.services[0]?.config).toMatchObject({
    healthcheck: { test: ["CMD", "true"], timeout: 10e9, interval: 90e9, retries: 3, startPeriod: 40e9 },
    mounts: [
      { type: "volume", source: "data", target: "/data", readOnly: true },
      { type: "tmpfs", target: "/run" },
    ],
    ports: [
      { target: 53, protocol: "udp", published: "5353", ip: "127.0.0.1" },
      { target: 80, protocol: "tcp", published: "8080", ip: "" },
    ],
    settings: {
      devices: ["/dev/null:/dev/x:rwm"],
      extra_hosts: ["db:10.0.0.1"],
      mem_limit: 67108864,
      shm_size: 134217728,
      stop_grace_period: 60,
      sysctls: { "net.core.somaxconn": "1024" },
      ulimits: ["nofile=1024:2048", "nproc=64:64"],
    },
  });
});

describe("the specification's example", () => {
  test("is accepted unchanged", () => {
    const target = accept(specifiedBody);
    expect(target).toMatchObject({ name: "Home", config: specifiedBody.local.config });
    expect(appOf(target)).toMatchObject({ commit: "localcommit", releaseId: 1, name: "localapp" });
  });

  test("has a second service in the network of the first", () => {
    const app = appOf(accept(specifiedBody));
    expect(app.services.map((service) => [service.name, networkModeOf(service, app)])).toEqual([
      ["one", "networks"],
      ["two", "service:one"],
    ]);
  });
});
