/** The system for which an image is, by the names in images: Go's, such as amd64, arm64 or arm with the variant v7. */
export interface Platform {
  readonly architecture: string;
  /** Absent: any variant. */
  readonly variant?: string;
}

const arm: readonly Platform[] = [
  { architecture: "arm", variant: "v7" },
  { architecture: "arm", variant: "v6" },
  { architecture: "arm" },
];

/** By balena's name of a device's architecture: the images that it runs, best first, as the engine chooses them. */
const runs: Readonly<Record<string, readonly Platform[]>> = {
  amd64: [{ architecture: "amd64" }, { architecture: "386" }],
  i386: [{ architecture: "386" }],
  aarch64: [{ architecture: "arm64" }, ...arm],
  armv7hf: arm,
  rpi: arm.slice(1),
};

/** The images that a device runs, best first; empty if its architecture is not known. */
export const platformsOf = (deviceArch: string): readonly Platform[] => runs[deviceArch] ?? [];

/** Whether a device runs images of this architecture; true if one of the names is not known. */
export function runsImageOf(deviceArch: string, imageArch: string | undefined): boolean {
  const platforms = platformsOf(deviceArch);
  return !imageArch || platforms.length === 0 || platforms.some(({ architecture }) => architecture === imageArch);
}
