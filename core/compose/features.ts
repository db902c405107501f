import type { Json } from "../model/json.ts";
import { isTruthy } from "../model/truthy.ts";
import { supervisorNetwork } from "../model/names.ts";
import { parseMount } from "./mounts.ts";

/** Facts about the device and the service that features depend on. */
export interface FeatureFacts {
  readonly hostNetwork: boolean;
  /** The service's key for the API. */
  readonly apiKey: string;
  readonly apiPort: number;
  /** The cloud's address; empty for a device without a cloud. */
  readonly cloudUrl: string;
  /** The cloud key for services: derived from the device key if the cloud supports this, else the device key itself. */
  readonly cloudKey: string;
  /** Host path of the engine's socket. */
  readonly engineSocket: string;
  readonly boardRev: string;
  readonly osBuild: string;
}

/** The changes that a feature makes to a container. */
interface Feature {
  readonly mounts?: readonly string[];
  /** Names without prefix. Each is set with the prefixes BALENA_ and RESIN_. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Names that get no prefix. */
  readonly plainEnvironment?: Readonly<Record<string, string>>;
  readonly network?: string;
  readonly gpu?: boolean;
}

/** Source: the documentation of `io.balena.features.*`, and the containers of the reference implementation. */
const features: Readonly<Record<string, (facts: FeatureFacts) => Feature>> = {
  dbus: () => ({ mounts: ["/run/dbus:/host/run/dbus"] }),
  "kernel-modules": () => ({ mounts: ["/lib/modules:/lib/modules"] }),
  firmware: () => ({ mounts: ["/lib/firmware:/lib/firmware"] }),
  sysfs: () => ({ mounts: ["/sys:/sys"] }),
  procfs: () => ({ mounts: ["/proc:/proc"] }),
  "journal-logs": () => ({
    mounts: [
      "/var/log/journal:/var/log/journal:ro",
      "/run/log/journal:/run/log/journal:ro",
      "/etc/machine-id:/etc/machine-id:ro",
    ],
  }),
  "balena-socket": ({ engineSocket }) => ({
    mounts: [...new Set(["/host/run/balena-engine.sock", "/var/run/balena.sock", engineSocket])].map(
      (path) => `${engineSocket}:${path}`,
    ),
    plainEnvironment: { DOCKER_HOST: "unix:///host/run/balena-engine.sock" },
  }),
  "supervisor-api": ({ hostNetwork, apiKey, apiPort }) => {
    const host = hostNetwork ? "127.0.0.1" : supervisorNetwork.gateway;
    return {
      environment: {
        SUPERVISOR_API_KEY: apiKey,
        SUPERVISOR_PORT: String(apiPort),
        SUPERVISOR_HOST: host,
        SUPERVISOR_ADDRESS: `http://${host}:${apiPort}`,
      },
      ...(!hostNetwork && { network: supervisorNetwork.name }),
    };
  },
  "balena-api": ({ cloudUrl, cloudKey }) => ({ environment: { API_KEY: cloudKey, API_URL: cloudUrl } }),
  gpu: () => ({ gpu: true }),
  "host-os.board-rev": ({ boardRev, osBuild }) => ({
    environment: { HOST_OS_BOARD_REV: boardRev, HOST_OS_BUILD: osBuild },
  }),
  "extra-firmware": () => ({ mounts: ["extra-firmware:/extra-firmware"] }),
};

const prefix = "io.balena.features.";

/** Whether a service's labels enable a feature. */
export const hasFeature = (labels: Readonly<Record<string, string>>, name: string): boolean =>
  isTruthy(labels[prefix + name]);

/** All features that a service's labels enable, combined. */
export function featuresOf(labels: Readonly<Record<string, string>>, facts: FeatureFacts) {
  const asked = Object.entries(features)
    .filter(([name]) => hasFeature(labels, name))
    .map(([, feature]) => feature(facts));
  return {
    mounts: asked.flatMap((feature) => (feature.mounts ?? []).map(parseMount)).filter((mount) => mount !== undefined),
    environment: Object.assign(
      {},
      ...asked.map((feature) => feature.plainEnvironment),
      ...asked.map((feature) => bothPrefixes(feature.environment ?? {})),
    ) as Record<string, string>,
    networks: asked.flatMap((feature) => feature.network ?? []),
    settings: (asked.some((feature) => feature.gpu) ? { gpu: true } : {}) satisfies Record<string, Json>,
  };
}

/** Every variable under its current and its former name. */
export const bothPrefixes = (variables: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(variables).flatMap(([name, value]) => [
      [`BALENA_${name}`, value],
      [`RESIN_${name}`, value],
    ]),
  );
