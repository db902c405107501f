/** What a service may be able to do to its host; `core/compose/powers.ts` says by what it asks for each. */
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

/** A list as a config variable has it: the powers in it, and what is none. */
export function parsePowers(text: string): { readonly known: readonly Power[]; readonly unknown: readonly string[] } {
  const words = text.split(/[\s,]+/).filter(Boolean);
  return {
    known: powers.filter((power) => words.includes(power)),
    unknown: words.filter((word) => !powers.some((power) => power === word)),
  };
}
