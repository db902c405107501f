import { registryOf, type Credentials } from "../model/image.ts";

const host = /^(?:https?:\/\/)?([a-z\d.-]+(?::\d+)?)\/?$/i;

/**
 * The host of a cloud's registry: as config.json says or, where it says nothing, beside the API, as the public cloud and
 * openBalena have it (`api.example.com`, `registry2.example.com`). Undefined where neither tells, or the API has no TLS.
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
 * What the device says to the cloud's own registry, and to no other: the name of an image comes from a target state, which
 * must not be able to have the device's key sent anywhere else. So the host must be that one, letter by letter.
 */
export const deviceCredentials = (
  image: string,
  { registry, uuid, key }: { registry: string | undefined; uuid: string; key: string | undefined },
): Credentials | undefined =>
  registry !== undefined && key !== undefined && registryOf(image)?.toLowerCase() === registry
    ? { username: `d_${uuid}`, password: key }
    : undefined;
