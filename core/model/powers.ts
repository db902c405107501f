/** Powers that a service may have over its host. `core/compose/powers.ts` lists how a service asks for each. */
export const powers = [
  "privileged",
  "host-pid",
  "host-ipc",
  "host-network",
  "devices",
  "capabilities",
  "unconfined",
  "engine-socket",
  "dbus",
  "host-files",
  "host-binds",
  "cloud-key",
] as const;

export type Power = (typeof powers)[number];

/** Parses the list in a config variable into known powers and unknown words. */
export function parsePowers(text: string): { readonly known: readonly Power[]; readonly unknown: readonly string[] } {
  const words = text.split(/[\s,]+/).filter(Boolean);
  return {
    known: powers.filter((power) => words.includes(power)),
    unknown: words.filter((word) => !powers.some((power) => power === word)),
  };
}
