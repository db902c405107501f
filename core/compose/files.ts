import * as z from "zod";
import { didYouMean } from "../model/nearest.ts";
import type { FileContent, ServiceFile } from "../model/service-file.ts";
import { cleanPath, parsed } from "./quantities.ts";

/** Configs and secrets of compose. The command that reads the compose file puts the contents in their definitions. */

/** The limit of Swarm for one secret, which is also used for configs. */
export const largestFileBytes = 500 * 1024;

const DefinitionFields = { content: z.string().nullish(), base64: z.base64().nullish() };
export const fileFields: readonly string[] = Object.keys(DefinitionFields);

type Content = Pick<FileContent, "content" | "encoding">;

/** Undefined: without content. */
export const FileDefinition = z
  .looseObject(DefinitionFields)
  .transform(({ content, base64 }): Content | undefined =>
    typeof content === "string"
      ? { content, encoding: "utf8" }
      : typeof base64 === "string"
        ? { content: base64, encoding: "base64" }
        : undefined,
  )
  .refine((file) => file === undefined || sizeOf(file) <= largestFileBytes, {
    error: `expected at most ${largestFileBytes} bytes`,
  });

const sizeOf = ({ content, encoding }: Content): number =>
  encoding === "utf8" ? new TextEncoder().encode(content).byteLength : Math.floor((content.length * 3) / 4);

const Owner = parsed("a numeric id", (text) => (/^\d{1,9}$/.test(text) ? Number(text) : undefined));
/** A text is octal. A number is the value that YAML has read. */
const Mode = z.union(
  [
    z.int().min(0).max(0o777),
    z
      .string()
      .regex(/^(0o?)?[0-7]{1,3}$/)
      .transform((text) => Number.parseInt(text.replace(/^0o/, ""), 8)),
  ],
  { error: 'expected a mode such as 0440 or "0440"' },
);

export interface FileReference extends Omit<FileContent, "content" | "encoding"> {
  readonly source: string;
  readonly target: string;
}

const referenceFields = ["source", "target", "uid", "gid", "mode"];

const Reference = (folder: string) =>
  z
    .union(
      [
        z.string().transform((source) => ({ source })),
        z.looseObject({
          source: z.string(),
          target: z.string().nullish(),
          uid: Owner.nullish(),
          gid: Owner.nullish(),
          mode: Mode.nullish(),
        }),
      ],
      { error: `expected a name, or an object with ${referenceFields.join(", ")}` },
    )
    .transform((reference, context): FileReference => {
      const { source, target, uid, gid, mode } = { target: null, uid: null, gid: null, mode: null, ...reference };
      const path = cleanPath(target?.startsWith("/") ? target : `${folder}/${target || source}`);
      // The engine separates the parts of a mount by colons.
      if (path === "/" || /[:\p{Cc}]/u.test(path))
        context.addIssue({ code: "custom", message: "expected a path without colons", input: path, path: ["target"] });
      return { source, target: path, uid: uid ?? 0, gid: gid ?? 0, mode: mode ?? 0o444 };
    });

/** The references of a service, with the folders of compose. */
export const FileReferences = {
  configs: z.array(Reference("/"), { error: "expected a list" }).nullish(),
  secrets: z.array(Reference("/run/secrets"), { error: "expected a list" }).nullish(),
};
type References = { readonly [K in keyof typeof FileReferences]?: z.output<(typeof FileReferences)[K]> };
export type FileDefinitions = {
  readonly [K in keyof typeof FileReferences]: Readonly<Record<string, Content | undefined>>;
};

export type Identify = (file: FileContent) => string;

/** The files of a service and their contents by id. A reference to a missing definition is left out with a warning. */
export function filesOf(
  references: References,
  definitions: FileDefinitions,
  identify: Identify,
  warn: (field: string, message: string) => void,
): { readonly files: readonly ServiceFile[]; readonly contents: Readonly<Record<string, FileContent>> } {
  const contents: Record<string, FileContent> = {};
  const files = (["configs", "secrets"] as const).flatMap((kind) =>
    (references[kind] ?? []).flatMap(({ source, target, ...owner }) => {
      const found = Object.hasOwn(definitions[kind], source) ? definitions[kind][source] : undefined;
      if (!found) {
        warn(kind, `there is no ${kind.slice(0, -1)} ${JSON.stringify(source)} with a content, left out`);
        return [];
      }
      const file = { ...found, ...owner };
      const id = identify(file);
      contents[id] = file;
      return [{ target, id }];
    }),
  );
  return { files, contents };
}

/** Faults of references and definitions in a compose file. */
export function fileFaults(
  service: string,
  entry: Readonly<Record<string, unknown>>,
  definitions: Readonly<Record<"configs" | "secrets", object>>,
): readonly string[] {
  return (["configs", "secrets"] as const).flatMap((kind) => {
    const all = entry[kind];
    return (Array.isArray(all) ? all : []).flatMap((one: unknown, n) => {
      const { source = one, ...others }: { source?: unknown } = typeof one === "object" && one !== null ? one : {};
      const path = `services.${service}.${kind}[${n}]`;
      const known = Object.keys(definitions[kind]);
      return [
        ...Object.keys(others)
          .filter((field) => !referenceFields.includes(field))
          .map((field) => `${path}.${field}: not supported${didYouMean(field, referenceFields)}`),
        ...(typeof source === "string" && !known.includes(source)
          ? [`${path}: there is no ${kind.slice(0, -1)} ${JSON.stringify(source)}${didYouMean(source, known)}`]
          : []),
      ];
    });
  });
}
