import { firstOf } from "../model/show.ts";
import { resolveComposition, type FileContents, type ResolvedComposition } from "./compose-file.ts";
import { readYaml } from "./yaml.ts";

/** A compose file that has been sent as a text: there is no shell, and there are no files beside it. */

/** What `readComposeText` reads at most. Parsing needs far more memory than the text. */
const mostValues = 20_000;
const mostLevels = 100;

/** A fault begins with its path in the file, or says where the text is no YAML. */
export async function readComposeText(text: string): Promise<ResolvedComposition> {
  const yaml = await readYaml(text);
  // The lines below the first one show the text with a mark under the place.
  if (!yaml.ok) {
    const faults = yaml.faults.map((fault) => (fault.split("\n")[0] ?? "").replace(/:$/, ""));
    return { ok: false, faults: firstOf(faults) };
  }
  const excess = excessOf(yaml.value);
  if (excess !== undefined) return { ok: false, faults: [excess] };
  return resolveComposition(yaml.value, {
    file: "compose",
    variables: {},
    advice: "there is no shell here:",
    profiles: [],
    envFiles: (files, path) => ({
      values: {},
      faults: files.length > 0 ? [`${path}: files are not read here; write the variables into environment`] : [],
    }),
    contents: contentsOf,
  });
}

/** Aliases repeat values: they are counted before anything copies them. */
function excessOf(value: unknown): string | undefined {
  let values = 0;
  const isWithin = (one: unknown, level: number): boolean => {
    if (++values > mostValues || level > mostLevels) return false;
    return typeof one !== "object" || one === null || Object.values(one).every((item) => isWithin(item, level + 1));
  };
  return isWithin(value, 0)
    ? undefined
    : `expected at most ${mostValues} values, and at most ${mostLevels} levels in each other`;
}

/** Only what is written in the file itself. */
function contentsOf(file: Readonly<Record<string, unknown>>): FileContents {
  const kinds = ["configs", "secrets"].flatMap((kind): [string, Record<string, object>][] => {
    const given = file[kind];
    return typeof given === "object" && given !== null ? [[kind, { ...given }]] : [];
  });
  const faults = kinds.flatMap(([kind, definitions]) =>
    Object.entries(definitions).flatMap(([name, definition]) =>
      ["file", "environment", "external"]
        .filter((source) => Object.hasOwn(definition ?? {}, source))
        .map((source) => `${kind}.${name}.${source}: not read here; write its text into content`),
    ),
  );
  return { definitions: Object.fromEntries(kinds), faults };
}
