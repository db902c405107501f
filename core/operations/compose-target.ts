import { readComposeText } from "../compose/compose-text.ts";
import { toLocalTarget, type LocalState } from "./local-target.ts";

/** The target state that a compose file becomes, beside the applications that the device has. */
export type ComposeTarget =
  | {
      readonly ok: true;
      readonly project: string;
      readonly appId: number;
      readonly target: { readonly local: LocalState };
      readonly warnings: readonly string[];
    }
  | { readonly ok: false; readonly faults: readonly ComposeFault[] };

interface ComposeFault {
  /** In the compose file; empty: of the file as a whole. */
  readonly path: string;
  readonly message: string;
}

/** The application's name where neither the caller nor the file has one: there is no folder that could give it. */
const usualProject = "app";

export async function composeTarget(
  text: string,
  { project, before }: { readonly project: string | undefined; readonly before: LocalState },
): Promise<ComposeTarget> {
  const read = await readComposeText(text);
  if (!read.ok) return { ok: false, faults: read.faults.map(toFault) };
  const name = project ?? read.name ?? usualProject;
  const made = await toLocalTarget(read.composition, name, { before });
  if (!made.ok) return { ok: false, faults: made.faults.map(toFault) };
  return { ok: true, project: name, appId: made.appId, target: made.body, warnings: made.warnings };
}

/** A path has no spaces, but names in it may have. */
function toFault(sentence: string): ComposeFault {
  const [, path, message] =
    /^((?:services|networks|volumes|configs|secrets|include|project name)[^:]*): ([^]*)$/.exec(sentence) ?? [];
  return path === undefined || message === undefined ? { path: "", message: sentence } : { path, message };
}
