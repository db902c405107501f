import type { TargetStateV2, TargetStateV3 } from "../api/cloud/state.ts";
import { Deploy, strategyOfOrder } from "../compose/update-words.ts";
import { bareName, hidden } from "../model/secrets.ts";
import { environmentIn, labelsOf, type ServiceEntry, type Settings } from "./release.ts";

/** The target state of a device, from its fleet, its release, and the variables of the fleet and the device. */

export interface Variable {
  readonly kind: "env" | "config";
  readonly of: "fleet" | "device";
  /** Absent: for all services. */
  readonly service?: string | undefined;
  readonly name: string;
  readonly value: string;
}

interface Fleet {
  readonly id: number;
  readonly uuid: string;
  readonly name: string;
  /** The powers over the host that services of this fleet must not ask for. */
  readonly forbidden: readonly string[];
}

export interface FleetRelease {
  readonly id: number;
  readonly commit: string;
  readonly services: readonly ReleaseService[];
  readonly networks: Readonly<Record<string, Settings>>;
  readonly volumes: Readonly<Record<string, Settings>>;
  readonly configs?: Readonly<Record<string, Settings>> | undefined;
  readonly secrets?: Readonly<Record<string, Settings>> | undefined;
}

interface ReleaseService {
  readonly name: string;
  readonly serviceId: number;
  readonly imageId: number;
  readonly entry: ServiceEntry;
}

/** Everything from which a target state is made. */
export interface TargetInput {
  /** The uuid of a device; or of a fleet, for the target state that its devices have in common. */
  readonly uuid: string;
  readonly name: string;
  readonly fleet: Fleet;
  /** Undefined: the fleet has no release yet. */
  readonly release: FleetRelease | undefined;
  readonly variables: readonly Variable[];
}

type Named = Readonly<Record<string, string>>;

/** In ascending order: of the fleet, of the fleet for one service, of the device, of the device for one service. */
const strength = ({ of, service }: Variable): number => (of === "device" ? 2 : 0) + (service === undefined ? 0 : 1);

const byStrength = (variables: readonly Variable[]): readonly Variable[] =>
  variables.toSorted((a, b) => strength(a) - strength(b));

/** The variables that the cloud gives a service. On the device, they override the composition's environment. */
export const environmentOf = (variables: readonly Variable[], serviceName: string): Named =>
  Object.fromEntries(
    byStrength(variables)
      .filter(({ kind, service }) => kind === "env" && (service === undefined || service === serviceName))
      .map(({ name, value }): [string, string] => [name, value]),
  );

/** Whether the values of variables are hidden. */
export interface Shown {
  readonly hideValues?: boolean;
}

const shown = (named: Named, { hideValues }: Shown): Named =>
  hideValues ? Object.fromEntries(Object.keys(named).map((name) => [name, hidden])) : named;

/** Hides the values in the compose file's environment, which is a list or an object. */
function shownEntry(entry: ServiceEntry, { hideValues }: Shown): ServiceEntry {
  const { environment } = entry;
  if (!hideValues || environment === undefined || environment === null) return entry;
  return {
    ...entry,
    environment: Array.isArray(environment)
      ? environment.map((one) => bareName(String(one)))
      : shown(environmentIn(entry), { hideValues }),
  };
}

/** The configs and secrets of a release. Only our own agent reads them. */
const filesIn = ({ configs = {}, secrets = {} }: Pick<FleetRelease, "configs" | "secrets">, how: Shown) =>
  Object.fromEntries(
    Object.entries({ configs, secrets }).flatMap(([kind, files]) => {
      const shownFiles = Object.entries(files).map(([name, file]) => [
        name,
        how.hideValues ? Object.fromEntries(Object.keys(file).map((field) => [field, hidden])) : file,
      ]);
      return shownFiles.length > 0 ? [[kind, Object.fromEntries(shownFiles)]] : [];
    }),
  );

const shortestPollMs = 600_000;

/**
 * The device's configuration. Its own variables override those of the fleet, also if only the prefix differs (`RESIN_`,
 * `BALENA_`). Recorded: `GET /device/v3/:uuid/state`.
 */
export function configOf(variables: readonly Variable[]): Named {
  const strongest = new Map<string, Variable>();
  for (const one of byStrength(variables.filter(({ kind }) => kind === "config")))
    strongest.set(one.name.replace(/^(RESIN|BALENA)_/, ""), one);
  const wantedMs = Number(strongest.get("SUPERVISOR_POLL_INTERVAL")?.value ?? 0);
  const isForDevices = (bare: string) => !/^(HOST_LOG_TO_DISPLAY$|SUPERVISOR_POLL_INTERVAL$|UI)/.test(bare);
  return {
    ...Object.fromEntries(
      [...strongest].flatMap(([bare, { name, value }]) => (isForDevices(bare) ? [[name, value] as const] : [])),
    ),
    RESIN_SUPERVISOR_POLL_INTERVAL: String(Math.max(Number.isFinite(wantedMs) ? wantedMs : 0, shortestPollMs)),
  };
}

/** The device, too, rejects forbidden powers: its release may be older than the rule. A variable can only forbid more. */
function configOfDevice({ variables, fleet: { forbidden } }: TargetInput): Named {
  const config = configOf(variables);
  if (forbidden.length === 0) return config;
  const {
    BALENA_SUPERVISOR_FORBIDDEN_POWERS: more = "",
    RESIN_SUPERVISOR_FORBIDDEN_POWERS: others = more,
    ...rest
  } = config;
  return { ...rest, RESIN_SUPERVISOR_FORBIDDEN_POWERS: [...forbidden, others].filter(Boolean).join(",") };
}

/** Configuration variables that become labels of services that do not have this label, and no word of compose for it. */
const labelled = [
  ["SUPERVISOR_UPDATE_STRATEGY", "update.strategy"],
  ["SUPERVISOR_HANDOVER_TIMEOUT", "update.handover-timeout"],
] as const;

function cloudLabels(entry: ServiceEntry, config: Named): Named {
  const own = labelsOf(entry);
  const hasOrder = strategyOfOrder(Deploy.safeParse(entry["deploy"]).data) !== undefined;
  return Object.fromEntries(
    labelled.flatMap(([variable, label]): [string, string][] => {
      const value = config[`RESIN_${variable}`] ?? config[`BALENA_${variable}`];
      const said = Object.hasOwn(own, `io.resin.${label}`) || Object.hasOwn(own, `io.balena.${label}`);
      return value === undefined || said || (label === "update.strategy" && hasOrder)
        ? []
        : [[`io.resin.${label}`, value]];
    }),
  );
}

/** Version 3: the answer to `GET /device/v3/:uuid/state`, with its keys in the recorded order. */
export function targetState(input: TargetInput, how: Shown = {}): TargetStateV3 {
  const { uuid, name, fleet, release, variables } = input;
  const config = shown(configOfDevice(input), how);
  const app = {
    id: fleet.id,
    name: fleet.name,
    is_host: false,
    class: "fleet",
    ...(release && { releases: { [release.commit]: releaseState(release, variables, config, how) } }),
  };
  return { [uuid]: { name, apps: { [fleet.uuid]: app }, config } };
}

type ReleaseV3 = NonNullable<TargetStateV3[string]["apps"][string]["releases"]>[string];

function releaseState(
  { id, services, networks, volumes, ...files }: FleetRelease,
  variables: readonly Variable[],
  config: Named,
  how: Shown,
): ReleaseV3 {
  if (services.length === 0) return { id };
  return {
    id,
    services: Object.fromEntries(
      services.map(({ name, serviceId, imageId, entry }) => [
        name,
        {
          id: serviceId,
          image_id: imageId,
          image: entry.image,
          environment: shown(environmentOf(variables, name), how),
          labels: cloudLabels(entry, config),
          composition: shownEntry(entry, how),
        },
      ]),
    ),
    ...(Object.keys(networks).length > 0 && { networks }),
    ...(Object.keys(volumes).length > 0 && { volumes }),
    ...filesIn(files, how),
  };
}

/**
 * Version 2, for older agents and the public SDK. It has one environment and one set of labels per service, so the cloud
 * merges them.
 */
export function targetStateV2(input: TargetInput, how: Shown = {}): TargetStateV2 {
  const { name, fleet, release, variables } = input;
  const config = shown(configOfDevice(input), how);
  const services = Object.fromEntries(
    (release?.services ?? []).map(({ name: serviceName, serviceId, imageId, entry }) => [
      String(serviceId),
      {
        ...entry,
        environment: shown({ ...environmentIn(entry), ...environmentOf(variables, serviceName) }, how),
        labels: { ...labelsOf(entry), ...cloudLabels(entry, config) },
        imageId,
        serviceName,
        running: true,
      },
    ]),
  );
  const app = {
    ...(release && { releaseId: release.id, commit: release.commit }),
    name: fleet.name,
    services,
    networks: release?.networks ?? {},
    volumes: release?.volumes ?? {},
    ...filesIn(release ?? {}, how),
  };
  return { local: { name, config, apps: { [fleet.id]: app } }, dependent: { apps: {}, devices: {} } };
}
