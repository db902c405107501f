import { serviceFields } from "../compose/service-config.ts";
import { parseLocalTarget } from "../compose/target-state.ts";
import { usedDeploy } from "../compose/update-words.ts";
import { anyDevice, environmentIn, labelsOf, parseComposition, type Composition } from "../fleet/release.ts";
import type { Power } from "../model/powers.ts";

/** A compose file in the form of the body of `POST /v2/local/target-state`. */
export type LocalTarget =
  | {
      readonly ok: true;
      readonly appId: number;
      readonly body: { readonly local: LocalState };
      readonly warnings: readonly string[];
      /** The powers over the host that services ask for, by service. */
      readonly powers: Readonly<Record<string, readonly Power[]>>;
      /** A sentence of the device about this application, with the path in the compose file. */
      readonly inTheFile: (sentence: string) => string;
    }
  | { readonly ok: false; readonly faults: readonly string[] };

export interface LocalState {
  readonly name?: string;
  readonly config?: Readonly<Record<string, string>>;
  readonly apps: Readonly<Record<string, unknown>>;
}

/**
 * Converts a composition that `resolveComposition` has made. `project` becomes the application's name. `before`: the parts of the
 * current target state that stay, as `GET /v2/local/target-state` shows them; an application with the project's id is replaced.
 * Images are not pinned: the device may have images that are in no registry.
 */
export async function toLocalTarget(
  composition: Readonly<Record<string, unknown>>,
  project: string,
  { before = { apps: {} }, allowUnsupported = false }: { before?: LocalState; allowUnsupported?: boolean } = {},
): Promise<LocalTarget> {
  if (!/^[a-z0-9][a-z0-9_-]{0,254}$/.test(project)) {
    const expected = "expected a lowercase letter or digit, then at most 254 lowercase letters, digits, _ and -";
    return { ok: false, faults: [`project name: ${expected}, but got ${JSON.stringify(project)}`] };
  }
  const parsed = parseComposition(composition, { allowUnsupported, local: true });
  if (!parsed.ok) return parsed;
  const entries = Object.entries(parsed.composition.services);
  const wanted = await Promise.all(entries.map(([serviceName]) => idOf(`${project}/${serviceName}`)));
  const ids = new Map<number, string>();
  const services = entries.map(([serviceName, entry], n) => {
    let id = wanted[n] ?? 1;
    while (ids.has(id)) id++;
    ids.set(id, serviceName);
    const supported = Object.entries(entry)
      .filter(([field]) => serviceFields.includes(field))
      .map(([field, value]): [string, unknown] => [field, field === "deploy" ? usedDeploy(value) : value]);
    const [environment, labels] = [environmentIn(entry), labelsOf(entry)];
    return {
      ...Object.fromEntries(supported),
      ...{ environment, labels, serviceName, serviceId: id, imageId: id, running: true },
    };
  });
  // Volumes are named by the application's id, so a project keeps its volumes whatever other projects the device has.
  const appId = await idOf(project);
  const { services: _, ...definitions } = parsed.composition;
  const app = {
    name: project,
    commit: await commitOf(parsed.composition),
    releaseId: 1,
    services: Object.fromEntries(services.map((service) => [service.serviceId, service])),
    ...definitions,
  };
  const body = { local: { ...before, apps: { ...before.apps, [appId]: app } } };
  // Variables and labels have stricter rules in a local target state than in a release.
  const checked = parseLocalTarget({ local: { apps: { [appId]: app } } }, anyDevice, "");
  const inTheFile = (sentence: string) => withFilePath(sentence, appId, ids);
  if (!checked.ok) return { ok: false, faults: checked.faults.map(inTheFile) };
  return { ok: true, appId, body, warnings: parsed.warnings, powers: parsed.powers, inTheFile };
}

/**
 * 48 bits of a hash, in hexadecimal digits. A commit is in logs and names, and a hash tells who guesses whether he is right: of
 * variables, and of what is beside the services, only the names count.
 */
async function commitOf({ services, ...definitions }: Composition): Promise<string> {
  const told = {
    ...Object.fromEntries(Object.entries(definitions).map(([kind, all]) => [kind, Object.keys(all ?? {})])),
    services: Object.entries(services).map(([name, entry]) => {
      const environment = Object.keys(environmentIn(entry));
      return [name, { ...entry, environment }];
    }),
  };
  const digest = await digestOf(JSON.stringify(told));
  return digest.getBigUint64(0).toString(16).padStart(16, "0").slice(0, 12);
}

/** 31 bits of a hash: an id does not change when others are added, which would replace containers. */
const idOf = async (name: string): Promise<number> => ((await digestOf(name)).getUint32(0) >>> 1) + 1;

const digestOf = async (text: string): Promise<DataView> =>
  new DataView(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));

function withFilePath(sentence: string, appId: number, services: ReadonlyMap<number, string>): string {
  const [before, rest] = [`local.apps.${appId}.`, sentence.slice(`local.apps.${appId}.`.length)];
  if (!sentence.startsWith(before)) return sentence;
  return rest.replace(/^services\.(\d+)(?=[.:[])/, (_, id: string) => `services.${services.get(Number(id)) ?? id}`);
}
