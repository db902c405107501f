import { registryOf, type Credentials } from "../model/image.ts";

const host = /^(?:https?:\/\/)?([a-z\d.-]+(?::\d+)?)\/?$/i;

/**
 * The host of a cloud's registry: from config.json, else beside the API as in the public cloud and openBalena
 * (`api.example.com`, `registry2.example.com`). Undefined if there is neither, or the API has no TLS.
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
 * The device's credentials for the cloud's registry, and for no other: image names come from a target state, which must not
 * be able to have the device key sent to another host.
 */
export const deviceCredentials = (
  image: string,
  { registry, uuid, key }: { registry: string | undefined; uuid: string; key: string | undefined },
): Credentials | undefined =>
  registry !== undefined && key !== undefined && registryOf(image)?.toLowerCase() === registry
    ? { username: `d_${uuid}`, password: key }
    : undefined;
