import type { NetworkEndpoint, ContainerSpec } from "../../core/model/container.ts";
import type { ImageConfig } from "../../core/model/image.ts";

/** A minimal container and image, which tests change in one property. */

export const imageId = `sha256:${"a".repeat(64)}`;

export const endpoint: NetworkEndpoint = { aliases: [], ipv4: "", ipv6: "", linkLocal: [] };

export const plainSpec: ContainerSpec = {
  image: imageId,
  command: ["run"],
  entrypoint: [],
  environment: {},
  labels: {},
  user: "",
  workingDir: "",
  stopSignal: "SIGTERM",
  hostname: "",
  healthcheck: null,
  restart: { name: "always", retries: 0 },
  ports: [],
  mounts: [],
  networkMode: "networks",
  networks: { "1_default": { ...endpoint, aliases: ["one"] } },
  settings: {},
};

export const plainImage: ImageConfig = {
  command: ["run"],
  entrypoint: [],
  environment: {},
  labels: {},
  user: "",
  workingDir: "",
  stopSignal: "",
  healthcheck: null,
};
