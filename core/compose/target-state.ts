import { bareConfig, configWarnings, forbiddenPowersOf } from "../model/config.ts";
import type { App, TargetState } from "../model/target.ts";
import type { Identify } from "./files.ts";
import { maskedPlaces, notShown } from "./masked.ts";
import { forbiddenOf, powersIn } from "./powers.ts";
import type { RequirementFacts } from "./requirements.ts";
import {
  borrowedNetworks,
  dependencyCycles,
  duplicates,
  excess,
  sameNames,
  unknownNamespaces,
} from "./target-checks.ts";
import {
  meetRequirements,
  toService,
  withUndeclared,
  withoutHostParts,
  withoutTwoWriters,
  wordsOf,
  type Draft,
} from "./target-draft.ts";
import { describeIssue, showPath, type Path } from "./target-paths.ts";
import { TargetV2, TargetV3 } from "./target-schema.ts";
import { gatesOf, rulesOf, unknownWords, updateVariableWarnings, withSnapshots } from "./update-words.ts";

/**
 * Parses a target state, or returns all faults with their paths. The local mode endpoints use version 2 (the
 * specification's "Set a target state"). The cloud uses version 3.
 */
export type ParsedTarget =
  | { readonly ok: true; readonly target: TargetState; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly faults: readonly string[] };

/** Reads the body of `POST /v2/local/target-state`. `nameBefore` is used if the body contains no name. */
export function parseLocalTarget(
  body: unknown,
  facts: RequirementFacts,
  nameBefore: string,
  identify: Identify = noIds,
): ParsedTarget {
  const parsed = TargetV2.safeParse(body, { reportInput: true });
  if (!parsed.success) return { ok: false, faults: parsed.error.issues.map(describeIssue) };
  const { local } = parsed.data;
  const apps = Object.entries(local.apps).map(([id, app]): Draft => ({
    path: ["local", "apps", id],
    appId: Number(id),
    uuid: id,
    name: app.name,
    commit: app.commit ?? "",
    releaseId: app.releaseId,
    networks: app.networks ?? {},
    volumes: app.volumes ?? {},
    fileDefinitions: { configs: app.configs ?? {}, secrets: app.secrets ?? {} },
    services: Object.entries(app.services ?? {}).map(([serviceId, service]) => ({
      path: ["local", "apps", id, "services", serviceId],
      composePath: ["local", "apps", id, "services", serviceId],
      name: service.serviceName,
      serviceId: Number(serviceId),
      imageId: service.imageId,
      image: service.image,
      running: service.running,
      contract: service.contract,
      fields: service,
      environment: service.environment,
      labels: service.labels,
    })),
  }));
  const path = ["local", "config"];
  const config = { path, values: local.config ?? {} };
  return finish({ name: local.name ?? nameBefore, config, apps }, body, facts, identify);
}

/** For checks of a target state that is not applied. */
const noIds: Identify = () => "";

/** Faults for hidden values that a client has sent back. They cannot be set. */
export const maskedFaults = (body: unknown): readonly string[] =>
  maskedPlaces(body).map((path) => `${showPath(path)}: ${notShown}`);

/** Reads the cloud's target state (`GET /device/v3/:uuid/state`). */
export function parseCloudTarget(
  body: unknown,
  facts: RequirementFacts,
  uuid: string,
  identify: Identify = noIds,
): ParsedTarget {
  const parsed = TargetV3.safeParse(body, { reportInput: true });
  if (!parsed.success) return { ok: false, faults: parsed.error.issues.map(describeIssue) };
  const device = parsed.data[uuid];
  if (!device) return { ok: false, faults: [`expected the state of device ${uuid}, which is not in it`] };
  const apps = Object.entries(device.apps)
    // Skips releases of the host's OS, and the reference implementation: a cloud sends it as an application if it knows a
    // release of the version that this agent reports.
    .filter(([, app]) => !app.is_host && app.class !== "app")
    .map(([appUuid, app]): Draft => {
      const [commit, release] = Object.entries(app.releases)[0] ?? ["", undefined];
      const path = [uuid, "apps", appUuid, "releases", commit];
      return {
        path,
        appId: app.id,
        uuid: appUuid,
        name: app.name,
        commit,
        releaseId: release?.id ?? 0,
        networks: release?.networks ?? {},
        volumes: release?.volumes ?? {},
        fileDefinitions: { configs: release?.configs ?? {}, secrets: release?.secrets ?? {} },
        services: Object.entries(release?.services ?? {}).map(([name, service]) => ({
          path: [...path, "services", name],
          composePath: [...path, "services", name, "composition"],
          name,
          serviceId: service.id,
          imageId: service.image_id,
          image: service.image,
          running: service.running,
          contract: service.contract,
          fields: service.composition ?? {},
          // The outer variables have priority: the cloud merges those of the image, the service and the device into them.
          environment: dropNameless({ ...service.composition?.environment, ...service.environment }),
          labels: { ...service.composition?.labels, ...service.labels },
        })),
      };
    });
  const config = { path: [uuid, "config"], values: device.config };
  return finish({ name: device.name, config, apps }, body, facts, identify);
}

// The cloud accepts and sends variables without a name. An engine refuses them.
const dropNameless = ({ "": _, ...named }: Record<string, string>): Record<string, string> => named;

/** A parsed target state, with the paths of its parts for messages. */
interface DraftTarget {
  readonly name: string;
  readonly config: { readonly path: Path; readonly values: Readonly<Record<string, string>> };
  readonly apps: readonly Draft[];
}

function finish(
  { name, config: { path: configPath, values }, apps }: DraftTarget,
  body: unknown,
  facts: RequirementFacts,
  identify: Identify,
): ParsedTarget {
  const tooMany = excess(apps);
  if (tooMany.length > 0) return { ok: false, faults: tooMany };
  const config = bareConfig(values);
  const faults: string[] = [];
  const warnings = Object.entries({ ...configWarnings(config), ...updateVariableWarnings(config) }).map(
    ([variable, warning]) => `${showPath([...configPath, variable])}: ${warning}`,
  );
  const forbidden = forbiddenPowersOf(config);
  const finished = apps.map(({ path, services: drafts, fileDefinitions, ...rest }): App => {
    const { kept, unmet } = meetRequirements(drafts, facts, warnings);
    const names = new Set(drafts.map((draft) => draft.name));
    const made = kept.map((draft) => toService(draft, { names, fileDefinitions, identify }, body, warnings));
    const words = kept.map((draft) => wordsOf(draft, body));
    warnings.push(...words.flatMap(unknownWords));
    const update = rulesOf(words, config, faults, warnings);
    const services = made.map(({ service }, n) => {
      const gates = words[n] && gatesOf(words[n], config, faults);
      return gates ? { ...service, gates } : service;
    });
    const files = Object.fromEntries(made.flatMap(({ contents }) => Object.entries(contents)));
    const { networks, volumes } = withUndeclared(rest, services, path, warnings);
    const pathOf = (volume: string) => showPath([...path, "volumes", volume]);
    const kinds = withSnapshots(withoutHostParts(volumes, services, path, warnings), config, pathOf, faults, warnings);
    const parts = { services: withoutTwoWriters(services, kinds, path, warnings), networks, volumes: kinds };
    const rejected = unmet ?? forbiddenOf(powersIn(parts), forbidden)[0];
    if (rejected) warnings.push(`the release is rejected: ${rejected}`);
    const app: App = {
      ...{ ...rest, ...parts },
      ...(Object.keys(files).length > 0 && { files }),
      ...(update && { update }),
      ...(rejected && { rejected }),
    };
    faults.push(
      ...duplicates(drafts),
      ...unknownNamespaces(app, path),
      ...borrowedNetworks(app, path),
      ...dependencyCycles(app, path),
    );
    return app;
  });
  faults.push(...sameNames(finished));
  return faults.length > 0 ? { ok: false, faults } : { ok: true, target: { name, config, apps: finished }, warnings };
}
