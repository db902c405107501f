import { issueMessage } from "../model/issue.ts";
import * as z from "zod";
import { maskedFaults, parseCloudTarget } from "../compose/target-state.ts";
import { StringMap } from "../compose/quantities.ts";
import { forbiddenOf, powersIn } from "../compose/powers.ts";
import { parseImage } from "../model/image.ts";
import type { Power } from "../model/powers.ts";
import { firstOf } from "../model/show.ts";
import { isUnsupportedWarning, portConflicts, unsupportedParts } from "./unsupported.ts";

/** The content of a release: a valid compose file, with fields that devices support. */
export interface Composition {
  readonly services: Readonly<Record<string, ServiceEntry>>;
  readonly networks: Readonly<Record<string, Settings>>;
  readonly volumes: Readonly<Record<string, Settings>>;
  /** With their contents. Absent: none. */
  readonly configs?: Readonly<Record<string, Settings>> | undefined;
  readonly secrets?: Readonly<Record<string, Settings>> | undefined;
}

export type Settings = Readonly<Record<string, unknown>>;

/** A service in the form of the compose file. The device parses it and adds the cloud's environment and labels. */
export interface ServiceEntry extends Readonly<Record<string, unknown>> {
  readonly image: string;
}

export type ParsedComposition =
  | {
      readonly ok: true;
      readonly composition: Composition;
      readonly warnings: readonly string[];
      /** The powers over the host that services ask for, by service. */
      readonly powers: Readonly<Record<string, readonly Power[]>>;
    }
  | { readonly ok: false; readonly faults: readonly string[] };

const anObject = (of: string) => ({ error: `expected an object of ${of}` });

/** `data:` without a value is a definition without settings. */
const Definitions = (of: string) =>
  z
    .record(
      z.string(),
      z
        .looseObject({}, anObject("settings"))
        .nullish()
        .transform((definition) => definition ?? {}),
      anObject(of),
    )
    .nullish()
    .transform((definitions) => definitions ?? {});

const Shape = z.looseObject(
  {
    services: z.record(z.string(), z.looseObject({}, anObject("compose fields")), anObject("services")),
    networks: Definitions("networks"),
    volumes: Definitions("volumes"),
    configs: Definitions("configs"),
    secrets: Definitions("secrets"),
  },
  { error: "expected a compose file: an object with services, networks and volumes" },
);

const largestBytes = 512 * 1024;
const mostServices = 100;

const cutShort = (sentences: readonly string[]): readonly string[] => firstOf(sentences, "… ");

/** `local`: the composition is for one device that may have images that are in no registry. */
interface ParseOptions {
  readonly allowUnsupported?: boolean;
  readonly local?: boolean;
}

/**
 * Parses a compose file (read from YAML) with the schemas that the device uses. Each fault begins with its path. A field
 * that devices do not support is a fault, or a warning with `allowUnsupported`.
 */
export function parseComposition(
  body: unknown,
  { allowUnsupported = false, local = false }: ParseOptions = {},
): ParsedComposition {
  const shape = Shape.safeParse(body);
  if (!shape.success)
    return rejected(
      shape.error.issues.map((issue) =>
        issue.path.length > 0 ? `${issue.path.join(".")}: ${issueMessage(issue)}` : issueMessage(issue),
      ),
    );
  const masked = maskedFaults(body);
  if (masked.length > 0) return rejected(masked);
  if (JSON.stringify(body).length > largestBytes)
    return rejected([`expected a composition of at most ${largestBytes} bytes`]);
  const count = Object.keys(shape.data.services).length;
  if (count > mostServices) return rejected([`services: expected at most ${mostServices} services, but got ${count}`]);

  const { services: given, networks, volumes, configs, secrets, ...others } = shape.data;
  const services = Object.fromEntries(
    Object.entries(given).flatMap(([name, entry]) => {
      const { image } = entry;
      return typeof image === "string" ? [[name, { ...entry, image }]] : [];
    }),
  );
  const faults = Object.entries(given).flatMap(([name, entry]) =>
    imageFaults(entry, local).map((one) => `services.${name}.${one}`),
  );
  const composition = {
    ...{ services, networks, volumes },
    ...(Object.keys(configs).length > 0 && { configs }),
    ...(Object.keys(secrets).length > 0 && { secrets }),
  };
  const checked = parseCloudTarget(asTarget(composition), anyDevice, stand);
  const unsupported = unsupportedParts(composition, others);
  if (!allowUnsupported) faults.push(...unsupported);
  if (!checked.ok) return rejected([...faults, ...checked.faults.map(inTheFile)]);
  const [app] = checked.target.apps;
  faults.push(...portConflicts(app?.services ?? []));
  if (faults.length > 0) return rejected(faults);
  return {
    ok: true,
    powers: app ? powersIn(app) : {},
    composition,
    warnings: cutShort([
      ...unsupported,
      ...(local ? [] : Object.entries(services).flatMap(movingImage)),
      ...checked.warnings.map(inTheFile).filter((warning) => !isUnsupportedWarning(warning)),
    ]),
  };
}

const rejected = (faults: readonly string[]): ParsedComposition => ({ ok: false, faults: cutShort(faults) });

function imageFaults({ build, image }: Readonly<Record<string, unknown>>, local: boolean): readonly string[] {
  if (build !== undefined)
    return [
      local
        ? "build: images are not built here; build it with docker compose build or docker build, then name it with image, without build; or use balena push"
        : "build: images are not built here; build and push it to a registry, then name it with image, without build",
    ];
  if (typeof image !== "string") return ['image: expected an image such as "registry/name:tag"'];
  return parseImage(image)?.auth
    ? [
        "image: expected an image without user and password, which everybody who sees the fleet would read; log in on the device",
      ]
    : [];
}

/** A warning about `latest`: a device does not pull an image again if it has one with this name. */
const movingImage = ([name, { image }]: [string, ServiceEntry]): readonly string[] =>
  /:latest$/.test(parseImage(image)?.name ?? "")
    ? [
        `services.${name}.image: ${image} may become another image, of which devices that have this one learn nothing; give each version a tag of its own`,
      ]
    : [];

const stand = "release";

/** The target state of a device that runs this composition. */
const asTarget = ({ services, ...definitions }: Composition): object => ({
  [stand]: {
    name: stand,
    apps: {
      [stand]: {
        id: 1,
        name: stand,
        releases: {
          [stand]: {
            id: 1,
            ...definitions,
            services: Object.fromEntries(
              Object.entries(services).map(([name, composition], n) => [
                name,
                { id: n + 1, image_id: n + 1, image: composition.image, composition },
              ]),
            ),
          },
        },
      },
    },
  },
});

/** The device's properties do not matter, since compose files have no requirements (contracts of images have). */
export const anyDevice = {
  supervisorVersion: "",
  deviceType: "",
  arch: "",
  osSlug: "",
  osVersion: "",
  kernelVersion: "",
};

/** Replaces a path in the target state above by the path in the compose file. */
const inTheFile = (sentence: string): string =>
  sentence
    .replace(`${stand}.apps.${stand}.releases.${stand}.`, "")
    .replace(/^(services\.[^:]*?)\.composition(?=[.:])/, "$1");

/** A service's labels in the compose file, from a list or an object. */
export const labelsOf = ({ labels }: ServiceEntry): Readonly<Record<string, string>> =>
  StringMap.safeParse(labels ?? {}).data ?? {};
export const environmentIn = ({ environment }: ServiceEntry): Readonly<Record<string, string>> =>
  StringMap.safeParse(environment ?? {}).data ?? {};

/** A fault for each power that the fleet forbids. It begins with the path in the compose file. */
export const forbiddenFaults = (
  asked: Readonly<Record<string, readonly Power[]>>,
  forbidden: readonly Power[],
): readonly string[] => forbiddenOf(asked, forbidden).map((sentence) => `services.${sentence}`);
