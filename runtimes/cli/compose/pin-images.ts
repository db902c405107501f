import { parseImage, registryOf } from "../../../core/model/image.ts";
import type { Platform, RegistryAnswer } from "./registry.ts";

type Composition = Readonly<Record<string, unknown>>;

export interface PinnedComposition {
  readonly composition: Composition;
  /** Images that do not exist, or that the fleet's devices cannot run. Each fault begins with its path. */
  readonly faults: readonly string[];
  /** Images that are released without a digest. */
  readonly warnings: readonly string[];
}

/**
 * Adds to each service's image the digest that its tag has now, so that every device runs the same image, whenever it
 * updates. An image that cannot be looked up is not changed; that is a warning.
 */
export async function pinImages(
  composition: Composition,
  deviceType: string,
  ask: (name: string) => Promise<RegistryAnswer>,
): Promise<PinnedComposition> {
  const { services } = composition;
  if (typeof services !== "object" || services === null) return { composition, faults: [], warnings: [] };
  const faults: string[] = [];
  const warnings: string[] = [];
  const answers = new Map<string, Promise<RegistryAnswer>>();
  const askOnce = (name: string) => {
    const asked = answers.get(name) ?? ask(name);
    answers.set(name, asked);
    return asked;
  };

  const pin = async ([service, entry]: [string, unknown]): Promise<[string, unknown]> => {
    const image = imageOf(entry);
    const reference = image === undefined ? undefined : parseImage(image);
    // The cloud reports other faults of the image.
    if (image === undefined || !reference || reference.auth) return [service, entry];
    const path = `services.${service}.image`;
    const answer = await askOnce(reference.name);
    switch (answer.is) {
      case "missing":
        faults.push(`${path}: ${registryOf(reference.name) ?? "Docker Hub"} has no ${image}`);
        return [service, entry];
      case "denied":
      case "unreachable":
        warnings.push(`${path}: ${image} is not looked up, and not named by its digest: ${answer.reason}`);
        return [service, entry];
      case "found": {
        const fault = platformFault(answer.platforms, deviceType);
        if (fault !== undefined) faults.push(`${path}: ${image} ${fault}`);
        const pinned = image.includes("@") ? image : `${withTag(image, reference.name)}@${answer.digest}`;
        return [service, { ...(typeof entry === "object" ? entry : {}), image: pinned }];
      }
    }
  };
  const pinned = await Promise.all(Object.entries(services).map(pin));
  return { composition: { ...composition, services: Object.fromEntries(pinned) }, faults, warnings };
}

const imageOf = (entry: unknown): string | undefined =>
  typeof entry === "object" && entry !== null && "image" in entry && typeof entry.image === "string"
    ? entry.image
    : undefined;

/** The image with the tag `latest` if it has none. */
const withTag = (image: string, name: string): string =>
  image.endsWith(name.slice(name.lastIndexOf(":"))) ? image : `${image}:latest`;

const shown = ({ os, architecture, variant }: Platform): string =>
  [os, architecture, ...(variant === undefined ? [] : [variant])].join("/");

function platformFault(platforms: readonly Platform[], deviceType: string): string | undefined {
  const wanted = architectureOf(deviceType);
  if (wanted === undefined || platforms.length === 0) return undefined;
  const runs = platforms.some(
    ({ os, architecture, variant }) =>
      os === "linux" &&
      wanted.some(
        (one) => one.architecture === architecture && (!variant || !one.variants || one.variants.includes(variant)),
      ),
  );
  return runs
    ? undefined
    : `is for ${platforms.map(shown).join(", ")}; devices of type ${deviceType} run linux/${wanted[0]?.architecture}`;
}

interface Runs {
  readonly architecture: string;
  readonly variants?: readonly string[];
}

const amd64: readonly Runs[] = [{ architecture: "amd64" }, { architecture: "386" }];
const arm64: readonly Runs[] = [{ architecture: "arm64" }, { architecture: "arm" }];
const armv7: readonly Runs[] = [{ architecture: "arm", variants: ["v7", "v6", "v5"] }];
const armv6: readonly Runs[] = [{ architecture: "arm", variants: ["v6", "v5"] }];

/** The architectures that a device runs, by the slug of its type. Source: balena's contracts. */
const deviceTypes: readonly (readonly [RegExp, readonly Runs[]])[] = [
  [/^(raspberry-pi|raspberrypi|generic-rpi)$/, armv6],
  [/^(raspberrypi5|jetson-.+|generic-aarch64|.+-64)$/, arm64],
  [/^(raspberry-pi2|raspberrypi[234]|beaglebone-.+|generic-armv7a?hf)$/, armv7],
  [/^(generic-amd64|genericx86-64-ext|intel-nuc|qemux86-64|surface-.+)$/, amd64],
];
const architectureOf = (deviceType: string): readonly Runs[] | undefined =>
  // Slugs of PCs, too, may end with -64.
  /x86-64/.test(deviceType) ? amd64 : deviceTypes.find(([slug]) => slug.test(deviceType))?.[1];
