import { parseImage, registryOf } from "../../../core/model/image.ts";
import type { Platform, RegistryAnswer } from "./registry.ts";

type Composition = Readonly<Record<string, unknown>>;

export interface PinnedComposition {
  readonly composition: Composition;
  /** Images that cannot be had, or not for the fleet's devices; each begins with its path. */
  readonly faults: readonly string[];
  /** Images that stay as they are named. */
  readonly warnings: readonly string[];
}

/**
 * Names each service's image by the digest that its tag has now: every device of the fleet runs the same, also the one that
 * updates next month. An image that cannot be looked up stays as it is named, with a warning.
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
    // What is wrong with it otherwise, the cloud says.
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

/** With the tag that it has without a word. */
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

/** What images a device can run, by the slug of its type; undefined for one that is not known. Source: balena's contracts. */
const deviceTypes: readonly (readonly [RegExp, readonly Runs[]])[] = [
  [/^(raspberry-pi|raspberrypi|generic-rpi)$/, armv6],
  [/^(raspberrypi5|jetson-.+|generic-aarch64|.+-64)$/, arm64],
  [/^(raspberry-pi2|raspberrypi[234]|beaglebone-.+|generic-armv7a?hf)$/, armv7],
  [/^(generic-amd64|genericx86-64-ext|intel-nuc|qemux86-64|surface-.+)$/, amd64],
];
const architectureOf = (deviceType: string): readonly Runs[] | undefined =>
  // The slug of PCs ends like those of the boards.
  /x86-64/.test(deviceType) ? amd64 : deviceTypes.find(([slug]) => slug.test(deviceType))?.[1];
