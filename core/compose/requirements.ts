import { coerce, satisfies } from "semver";
import { own } from "../model/json.ts";

/** A container contract: what a service requires of the device. Only `requires` is read. */
export type Contract = Readonly<Record<string, unknown>>;

/** The facts about this device that a contract may require. */
export interface RequirementFacts {
  readonly supervisorVersion: string;
  readonly deviceType: string;
  readonly arch: string;
  readonly osSlug: string;
  readonly osVersion: string;
  readonly kernelVersion: string;
  readonly l4tVersion?: string;
}

type Offer = { readonly slug?: string; readonly version?: string };

const offers = (facts: RequirementFacts): Readonly<Record<string, Offer>> => ({
  "sw.supervisor": { version: facts.supervisorVersion },
  "sw.os": { slug: facts.osSlug, version: facts.osVersion },
  "sw.kernel": { version: facts.kernelVersion },
  "sw.l4t": { ...(facts.l4tVersion && { version: facts.l4tVersion }) },
  "hw.device-type": { slug: facts.deviceType },
  "arch.sw": { slug: facts.arch },
});

/** The first requirement that the device does not meet, as a sentence; undefined when it meets all. */
export function unmetRequirement(contract: Contract, facts: RequirementFacts): string | undefined {
  const { requires } = contract;
  if (!Array.isArray(requires)) return undefined;
  const unmet = requires.find((requirement) => !isMet(requirement, facts));
  return unmet === undefined ? undefined : `this device does not meet ${JSON.stringify(unmet)}`;
}

function isMet(requirement: unknown, facts: RequirementFacts): boolean {
  if (typeof requirement !== "object" || requirement === null) return false;
  const { type, slug, version, or, not } = requirement as Readonly<Record<string, unknown>>;
  if (Array.isArray(or)) return or.some((one) => isMet(one, facts));
  if (Array.isArray(not)) return !not.some((one) => isMet(one, facts));
  const offer = own(offers(facts), String(type));
  return (
    offer !== undefined &&
    (slug === undefined || slug === offer.slug) &&
    (typeof version !== "string" || (offer.version !== undefined && within(offer.version, version)))
  );
}

// "Ubuntu 24.04.1 LTS", "6.1.0-13-amd64": the first version number is used. A vendor's suffix is not a pre-release.
const within = (version: string, range: string): boolean =>
  satisfies(coerce(version, { loose: true }) ?? "0.0.0", range);
