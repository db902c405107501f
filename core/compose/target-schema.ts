import * as z from "zod";
import { parseImage, type ImageReference } from "../model/image.ts";
import { NetworkDefinition, VolumeDefinition } from "./definitions.ts";
import { FileDefinition } from "./files.ts";
import { Text } from "./quantities.ts";
import type { Contract } from "./requirements.ts";
import { ComposeFields, Composition, Environment, Labels, SettingFields } from "./service-config.ts";

/** What a device accepts as a target state, in two versions. `core/api/cloud/state.ts` describes what the cloud sends. */

const Id = z
  .union(
    [
      z.int(),
      z
        .string()
        .regex(/^\d{1,15}$/)
        .transform(Number),
    ],
    { error: "expected a whole number of 0 or more" },
  )
  .refine((id) => id >= 0, { error: "expected a whole number of 0 or more" });
const IdKey = z
  .string()
  .regex(/^\d{1,15}$/, { error: "expected an id (digits) as key" })
  .regex(/^(0$|[^0])/, { error: "expected an id without zeros in front as key" });

const Name = z
  .string()
  .max(255, { error: "expected a name of at most 255 characters" })
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, {
    error: "expected a name: a letter or digit, then letters, digits, _, . and -",
  });

const ImageName = z.string().transform((text, context): ImageReference => {
  const image = parseImage(text);
  if (image) return image;
  context.addIssue({ code: "custom", message: 'expected an image such as "registry/name:tag"', input: text });
  return z.NEVER;
});

const Config = z.record(
  z
    .string()
    .regex(/^[A-Za-z][\w:]*$/, { error: "expected a config variable name: a letter, then letters, digits, _ and :" }),
  z.string(),
);

const DeviceName = z
  .string()
  .max(255)
  .regex(/^[^\r\n]*$/, { error: "expected a name without line breaks" });

const ContractInput = z.looseObject({}).transform((contract): Contract => contract);

const definitions = {
  networks: z.record(Name, NetworkDefinition).nullish(),
  volumes: z.record(Name, VolumeDefinition).nullish(),
  configs: z.record(Name, FileDefinition).nullish(),
  secrets: z.record(Name, FileDefinition).nullish(),
};

const ServiceV2 = z.object({
  ...ComposeFields,
  ...SettingFields,
  serviceName: Name,
  imageId: Id,
  image: ImageName,
  environment: Environment,
  labels: Labels,
  running: z.boolean().default(true),
  contract: ContractInput.optional(),
});

// The reference implementation accepts an empty list as "no services", so clients may send one.
const ServicesV2 = z.preprocess(
  (services) => (Array.isArray(services) && services.length === 0 ? {} : services),
  z.record(IdKey, ServiceV2).nullish(),
);

export const TargetV2 = z.object({
  local: z.object({
    name: DeviceName.nullish(),
    config: Config.nullish(),
    apps: z.record(
      IdKey,
      z.object({
        name: z.string().max(255),
        commit: Text.nullish(),
        releaseId: Id,
        services: ServicesV2,
        ...definitions,
      }),
      { error: 'expected an object of applications; to remove all of them send "apps": {}' },
    ),
  }),
});

const ServiceV3 = z.object({
  id: Id,
  image_id: Id,
  image: ImageName,
  environment: z.record(z.string(), z.string()).default({}),
  labels: Labels.default({}),
  running: z.boolean().default(true),
  contract: ContractInput.optional(),
  composition: Composition.optional(),
});

export const TargetV3 = z.record(
  z.string(),
  z.object({
    name: DeviceName,
    config: Config.default({}),
    apps: z.record(
      z.string(),
      z.object({
        id: Id,
        name: z.string().max(255),
        is_host: z.boolean().default(false),
        class: z.string().default("fleet"),
        releases: z
          .record(z.string(), z.object({ id: Id, services: z.record(Name, ServiceV3).default({}), ...definitions }))
          .default({}),
      }),
    ),
  }),
);
