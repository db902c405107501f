import { registryOf, type Credentials } from "../model/image.ts";

const host = /^(?:https?:\/\/)?([a-z\d.-]+(?::\d+)?)\/?$/i;

/**
 * The host of a cloud's registry. It comes from config.json, else from the API's host, as in the public cloud and openBalena
 * (`api.example.com`, `registry2.example.com`). Undefined if neither has it, or if the API has no TLS.
 */
export function cloudRegistry({
  registryEndpoint,
  apiEndpoint = "",
}: {
  readonly registryEndpoint?: string | undefined;
  readonly apiEndpoint?: string | undefined;
}): string | undefined {
  if (registryEndpoint) return host.exec(registryEndpoint)?.[1]?.toLowerCase();
  const [, domain] = /^https:\/\/api\.([a-z\d-]+(?:\.[a-z\d-]+)+)\/*$/i.exec(apiEndpoint) ?? [];
  return domain && `registry2.${domain.toLowerCase()}`;
}

/**
 * The device's credentials for the cloud's registry. Other registries get none: image names come from a target state, which
 * must not make the agent send the device key to another host.
 */
export const deviceCredentials = (
  image: string,
  { registry, uuid, key }: { registry: string | undefined; uuid: string; key: string | undefined },
): Credentials | undefined =>
  registry !== undefined && key !== undefined && registryOf(image)?.toLowerCase() === registry
    ? { username: `d_${uuid}`, password: key }
    : undefined;
