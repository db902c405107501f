import { messageOf } from "../model/show.ts";

/** YAML as a value, as compose reads it. */
export type ReadYaml =
  { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly faults: readonly string[] };

/** So often one anchor may stand for its value: aliases of aliases become gigabytes. */
const mostAliases = 100;

/** The parser is loaded when it is first needed: most devices never read a compose file. */
export async function readYaml(text: string): Promise<ReadYaml> {
  const { parseDocument, visit } = await import("yaml");
  try {
    const document = parseDocument(text, { merge: true });
    if (document.errors.length > 0) return { ok: false, faults: document.errors.map(({ message }) => message) };
    visit(document, {
      Scalar: (_, node) => {
        // Docker Compose reads YAML 1.1, in which a number with a zero in front is octal, such as a file's mode.
        if (typeof node.value === "number" && /^0[0-7]+$/.test(node.source ?? ""))
          node.value = Number.parseInt(node.source ?? "", 8);
      },
    });
    const value: unknown = document.toJS({ maxAliasCount: mostAliases });
    return { ok: true, value };
  } catch (error) {
    // Too many aliases, or so many levels that they do not fit on the stack.
    return { ok: false, faults: [messageOf(error)] };
  }
}
