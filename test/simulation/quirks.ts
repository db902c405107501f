import type { ContainerSpec } from "../../core/model/container.ts";
import type { NetworkSpec } from "../../core/model/network.ts";
import type { Engine, EngineState } from "../../core/ports/engine.ts";

/** What an engine reads back in another way than it was told: what each was seen to do, or might. */
export type Quirk = keyof typeof quirks;

type Reading = (state: EngineState, now: number) => EngineState;

const networks =
  (change: (spec: NetworkSpec) => NetworkSpec): Reading =>
  (state) => ({ ...state, networks: state.networks.map((one) => ({ ...one, spec: change(one.spec) })) });

/** `at`: in which state of a container it is seen. What is seen at once is tolerated; what comes later makes a loop. */
const containers =
  (at: "always" | "running", change: (spec: ContainerSpec, now: number) => ContainerSpec): Reading =>
  (state, now) => ({
    ...state,
    containers: state.containers.map((one) =>
      at === "always" || one.state === "running" ? { ...one, spec: change(one.spec, now) } : one,
    ),
  });

const withSetting = (spec: ContainerSpec, name: string, value: number): ContainerSpec => ({
  ...spec,
  settings: { ...spec.settings, [name]: value },
});

const privateMounts = (spec: ContainerSpec): ContainerSpec => ({
  ...spec,
  mounts: spec.mounts.map((mount) => ({ ...mount, options: "rprivate" })),
});

/** Those that may not be noticed at all. */
export const harmless = {
  "networks get gateways and subnets, in another order": networks((spec) => ({
    ...spec,
    ipam: {
      ...spec.ipam,
      config: [
        ...spec.ipam.config.map((one) => ({ gateway: `${one.subnet} the first`, ...one })).reverse(),
        ...(spec.ipv6 ? [{ subnet: "172.18.0.0/16", gateway: "172.18.0.1" }] : []),
      ],
    },
  })),
  "networks get options": networks((spec) => ({
    ...spec,
    driverOptions: { ...spec.driverOptions, "com.docker.network.bridge.name": "br0" },
    ipam: { ...spec.ipam, options: { driver: "host-local" } },
  })),
  "networks lose options": networks((spec) => ({ ...spec, driverOptions: {}, ipam: { ...spec.ipam, options: {} } })),
  "variables are in another order": containers("always", (spec) => ({
    ...spec,
    environment: Object.fromEntries(Object.entries(spec.environment).reverse()),
  })),
} satisfies Record<string, Reading>;

export const quirks = {
  ...harmless,
  "mounts are private": containers("always", privateMounts),
  "mounts are private once it runs": containers("running", privateMounts),
  "a limit of processes": containers("always", (spec) => withSetting(spec, "pids_limit", 2048)),
  "a limit of memory once it runs": containers("running", (spec) => withSetting(spec, "mem_limit", 64)),
  "another limit each time": containers("running", (spec, now) => withSetting(spec, "mem_limit", now)),
  "a variable once it runs": containers("running", (spec) => ({
    ...spec,
    environment: { ...spec.environment, HOSTNAME: "box" },
  })),
  "networks without labels and options": networks((spec) => {
    const { "io.fairlead.network.definition": _, ...labels } = spec.labels;
    return { ...spec, labels, driverOptions: {} };
  }),
  "names of containers": ((state) => ({
    ...state,
    containers: state.containers.map((one) => ({ ...one, name: `${one.name}x` })),
  })) as Reading,
} satisfies Record<string, Reading>;

/** An engine with these quirks: only what it answers is other than it is. */
export const quirky = (engine: Engine, names: readonly Quirk[], now: () => number): Engine => ({
  ...engine,
  look: async (options) => names.reduce((state, name) => quirks[name](state, now()), await engine.look(options)),
});
