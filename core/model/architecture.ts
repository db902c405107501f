/** By balena's name of a device's architecture: the architectures of images that it runs, by the names in images. */
const runs: Readonly<Record<string, readonly string[]>> = {
  amd64: ["amd64", "386"],
  i386: ["386"],
  aarch64: ["arm64", "arm"],
  armv7hf: ["arm"],
  rpi: ["arm"],
};

/** Whether a device runs images of this architecture; true if one of the names is not known. */
export const runsImageOf = (deviceArch: string, imageArch: string | undefined): boolean =>
  imageArch === undefined || imageArch === "" || (runs[deviceArch]?.includes(imageArch) ?? true);
