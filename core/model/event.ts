import { showDuration } from "./duration.ts";
import { problemNames, type ProblemKind } from "./problem.ts";

export const causes = [
  /** The target state names another release. */
  "release",
  /** The same release, with other variables. */
  "variables",
  /** The same release with another definition, or the engine has changed the container. */
  "definition",
  /** The target state no longer contains the service, or says that it must not run. */
  "target",
  /** A request to the API. */
  "request",
  /** A container ended without a request. */
  "exit",
  /** A container is missing without a request. */
  "missing",
] as const;

/** The cause of a change, if the agent knows it. */
export type Cause = (typeof causes)[number];

/** The subject of an event, as far as it is known. */
interface About {
  readonly appId?: number | undefined;
  readonly service?: string | undefined;
  /** The release. */
  readonly commit?: string | undefined;
  readonly cause?: Cause | undefined;
  /** The fields that differ, named as in compose. They never contain a variable's value. */
  readonly fields?: readonly string[] | undefined;
}

/** `container`: the id of a container whose service is not known. */
type OfService =
  { readonly service: string; readonly image: string } | { readonly service?: undefined; readonly container: string };

interface Reason {
  /** A part of a sentence, without secrets. */
  readonly reason: string;
}

interface Named {
  readonly name: string;
}

/** An event in the agent, as plain values. It contains no secrets, since it is stored and shown. */
export type Event = About &
  (
    | ({ readonly kind: "imageDownloading" | "imageDownloaded" | "imageRemoving" | "imageKept" } & Named)
    | ({ readonly kind: "imageDownloadFailed" } & Named & Reason)
    | ({ readonly kind: "networkCreating" | "volumeCreating" | "volumeRemoving" } & Named)
    | ({ readonly kind: "snapshotMaking" | "snapshotRestoring" | "snapshotRemoving" } & Named)
    | ({ readonly kind: "networkRemoving" | "snapshotDropped" } & Named & Reason)
    | ({
        readonly kind:
          | "servicePreparing"
          | "serviceDiscarding"
          | "serviceInstalling"
          | "serviceInstalled"
          | "serviceStarting"
          | "serviceStarted"
          | "serviceStopping"
          | "serviceKilled"
          | "serviceTakenBack";
      } & OfService)
    /** `reason`: absent if the agent has stopped it. */
    | ({ readonly kind: "serviceExited" } & OfService & Partial<Reason>)
    | ({ readonly kind: "serviceKilling" | "serviceHandingOver" } & OfService & Reason)
    | { readonly kind: "serviceNotStarted"; readonly service: string }
    /** `reason`: the difference. */
    | ({ readonly kind: "containerAltered"; readonly service: string } & Reason)
    | { readonly kind: "locksTaking" | "locksReleasing" }
    /** By force. `owner`, `reason`: of the lease; `service`: absent for all services. */
    | ({ readonly kind: "leaseBroken"; readonly appId: number; readonly owner: string } & Reason)
    /** By force: a service's own lock file was removed. */
    | { readonly kind: "lockBroken"; readonly appId: number; readonly service: string }
    /** `commit`: the release that is tried; the last one that proved itself. */
    | { readonly kind: "updateBegun" | "updateCommitted"; readonly appId: number; readonly commit: string }
    /** `updateKept`: it failed and stays, as its failure action says. */
    | ({
        readonly kind: "updateFailed" | "updatePaused" | "updateKept" | "updateRejected";
        readonly appId: number;
        readonly commit: string;
      } & Reason)
    /** `service`: it has confirmed for itself; `by`: the principal. */
    | { readonly kind: "updateDecided"; readonly appId: number; readonly decision: UpdateDecision; readonly by: string }
    | { readonly kind: "purging"; readonly appId: number }
    | { readonly kind: "purged" }
    | ({ readonly kind: "volumeRemovalAnnounced"; readonly appId: number; readonly volumes: readonly string[] } & Named)
    | { readonly kind: "bootConfigApplying" }
    | ({ readonly kind: "configRefused" } & Reason)
    /** `reason`: what requires the reboot. */
    | ({ readonly kind: "rebootRequired" | "rebootImpossible" } & Reason)
    | { readonly kind: "rebooting" | "shuttingDown" | "rebootFailed" | "shutdownFailed" }
    /** `reason`: the step. */
    | ({ readonly kind: "stepRepeated" } & Reason)
    | ({ readonly kind: "stepFailed" | "locked" } & Reason)
    | ({ readonly kind: "waiting" | "volumeChangeIgnored"; readonly subject: number | "device" } & Reason)
    | ({
        readonly kind:
          | "engineUnreachable"
          | "targetWarning"
          | "targetRefused"
          | "targetUnreachable"
          | "deviceUnknown"
          | "locksNotCleared"
          | "leaseWithoutFile"
          | "memoryNotSaved"
          | "eventsNotSaved"
          | "logsNotKept"
          | "logsDelayed"
          | "registrationFailed"
          | "cloudInterrupted"
          | "metricsFailed"
          | "reportFailed"
          | "tagsDelayed";
      } & Reason)
    | { readonly kind: "logLinesRefused"; readonly count: number }
    | ({ readonly kind: "serviceLogUnreadable"; readonly service: string } & Reason)
    | { readonly kind: "registered" | "registrationImpossible" | "engineReachable" }
    | ({ readonly kind: "reportFieldRefused"; readonly field: string } & Reason)
    | ({ readonly kind: "nameRefused" } & Named & Reason)
    | ({ readonly kind: "problemFound"; readonly problem: ProblemKind } & Reason)
    | { readonly kind: "problemEnded"; readonly problem: ProblemKind; readonly lastedMs: number }
    | { readonly kind: "tagsRefused"; readonly names: readonly string[] }
    | {
        readonly kind: "execStarted";
        readonly appId: number;
        readonly service: string;
        /** The program, without arguments. */
        readonly command: string;
        /** The principal. */
        readonly by: string;
      }
    | ({ readonly kind: "execEnded"; readonly service: string; readonly command: string; readonly by: string } & Reason)
    | ({ readonly kind: "requestFailed"; readonly method: string; readonly path: string } & Reason)
  );

export type UpdateDecision = "confirm" | "apply" | "retry" | "rollback";

export type EventKind = Event["kind"];

/**
 * `error`: the agent cannot do what it must: reach the target state, keep its data or answer a request. `warn`: it goes on,
 * with less or with a delay.
 */
export const eventLevels = ["error", "warn", "info"] as const;

export type EventLevel = (typeof eventLevels)[number];

interface Kind {
  readonly level: EventLevel;
  /** `device`: only the machine's log. `everyone`: also the application's logs, in local mode or in the cloud. */
  readonly audience: "everyone" | "device";
}

const info: Kind = { level: "info", audience: "everyone" };
const warning: Kind = { level: "warn", audience: "everyone" };
const failure: Kind = { level: "error", audience: "everyone" };
const deviceInfo: Kind = { level: "info", audience: "device" };
const deviceWarning: Kind = { level: "warn", audience: "device" };
const deviceFailure: Kind = { level: "error", audience: "device" };

export const eventKinds: Readonly<Record<EventKind, Kind>> = {
  imageDownloading: info,
  imageDownloaded: info,
  imageDownloadFailed: failure,
  imageRemoving: info,
  imageKept: warning,
  networkCreating: info,
  networkRemoving: info,
  volumeCreating: info,
  volumeRemoving: info,
  snapshotMaking: info,
  snapshotRestoring: info,
  snapshotRemoving: deviceInfo,
  snapshotDropped: warning,
  volumeRemovalAnnounced: warning,
  servicePreparing: info,
  serviceDiscarding: info,
  serviceInstalling: info,
  serviceInstalled: info,
  serviceStarting: info,
  serviceStarted: info,
  serviceNotStarted: info,
  serviceStopping: info,
  serviceKilling: info,
  serviceHandingOver: info,
  serviceExited: info,
  serviceKilled: info,
  serviceTakenBack: info,
  containerAltered: warning,
  locksTaking: info,
  locksReleasing: info,
  locksNotCleared: deviceWarning,
  leaseBroken: warning,
  lockBroken: warning,
  leaseWithoutFile: deviceWarning,
  updateBegun: deviceInfo,
  updateCommitted: deviceInfo,
  updateFailed: failure,
  updatePaused: failure,
  updateKept: warning,
  updateRejected: warning,
  updateDecided: info,
  purging: info,
  purged: info,
  bootConfigApplying: info,
  configRefused: warning,
  rebootRequired: info,
  rebootImpossible: warning,
  rebooting: info,
  shuttingDown: info,
  rebootFailed: failure,
  shutdownFailed: failure,
  waiting: info,
  volumeChangeIgnored: warning,
  locked: warning,
  stepFailed: failure,
  stepRepeated: warning,
  engineUnreachable: failure,
  engineReachable: deviceInfo,
  targetWarning: warning,
  targetRefused: failure,
  targetUnreachable: warning,
  deviceUnknown: warning,
  registered: deviceInfo,
  registrationImpossible: deviceFailure,
  registrationFailed: deviceWarning,
  cloudInterrupted: deviceWarning,
  metricsFailed: deviceWarning,
  reportFailed: deviceWarning,
  reportFieldRefused: deviceWarning,
  nameRefused: deviceWarning,
  tagsDelayed: deviceWarning,
  tagsRefused: deviceWarning,
  logsDelayed: deviceWarning,
  logsNotKept: deviceFailure,
  logLinesRefused: deviceWarning,
  serviceLogUnreadable: deviceWarning,
  problemFound: deviceWarning,
  problemEnded: deviceInfo,
  memoryNotSaved: deviceFailure,
  eventsNotSaved: deviceFailure,
  execStarted: info,
  execEnded: info,
  requestFailed: deviceFailure,
};

/** The sentence of an event, for every log. */
export function describe(event: Event): string {
  switch (event.kind) {
    case "imageDownloading":
      return `Downloading image '${event.name}'`;
    case "imageDownloaded":
      return `Downloaded image '${event.name}'`;
    case "imageDownloadFailed":
      return `Failed to download image '${event.name}' due to '${event.reason}'`;
    case "imageRemoving":
      return `Deleting image '${event.name}'`;
    case "imageKept":
      return `Image '${event.name}' stays until the next start of the agent: somebody else's container is made of it`;
    case "networkCreating":
      return `Creating network '${event.name}'`;
    case "networkRemoving":
      return `Removing network '${event.name}': ${event.reason}`;
    case "volumeCreating":
      return `Creating volume '${event.name}'`;
    case "volumeRemoving":
      return `Removing volume '${event.name}'`;
    case "snapshotMaking":
      return `Copying volume '${event.name}' before the update`;
    case "snapshotRestoring":
      return `Restoring volume '${event.name}' as it was before the update`;
    case "snapshotRemoving":
      return `Removing '${event.name}', a volume's copy from before an update`;
    case "snapshotDropped":
      return `Volume '${event.name}' cannot be restored as it was before the update: ${event.reason}`;
    case "volumeRemovalAnnounced":
      return `This device has left application ${event.name} (${event.appId}). Once its new application runs, and the cloud has said so again, these volumes are removed: ${event.volumes.join(", ")}`;
    case "servicePreparing":
      return `Creating the next container of service '${labelOf(event)}'`;
    case "serviceDiscarding":
      return `Removing the next container of service '${labelOf(event)}': it is not needed any more`;
    case "serviceInstalling":
      return `Installing service '${labelOf(event)}'`;
    case "serviceInstalled":
      return `Installed service '${labelOf(event)}'`;
    case "serviceStarting":
      return `Starting service '${labelOf(event)}'`;
    case "serviceStarted":
      return `Started service '${labelOf(event)}'`;
    case "serviceNotStarted":
      return `Not starting service '${event.service}': the target state says \`running: false\``;
    case "serviceStopping":
      return `Stopping service '${labelOf(event)}'`;
    case "serviceKilling":
      return `Killing service '${labelOf(event)}': ${event.reason}`;
    case "serviceHandingOver":
      return `Handing over service '${labelOf(event)}': ${event.reason}`;
    case "serviceExited":
      return `Service exited '${labelOf(event)}'${event.reason === undefined ? "" : ` with ${event.reason}`}`;
    case "serviceKilled":
      return `Killed service '${labelOf(event)}'`;
    case "serviceTakenBack":
      return `Taking back service '${labelOf(event)}', which ran on beside its successor`;
    case "containerAltered":
      return `The engine made something else of what was asked for service '${event.service}': ${event.reason}`;
    case "locksTaking":
      return "Taking update locks";
    case "locksReleasing":
      return "Releasing update locks";
    case "locksNotCleared":
      return `Old update locks cannot be removed: ${event.reason}`;
    case "leaseBroken":
      return `The lease of ${event.owner} for ${event.service === undefined ? "all services" : `service '${event.service}'`} was ended by force: ${event.reason}`;
    case "lockBroken":
      return `The update lock of service '${event.service}' was overridden by force`;
    case "leaseWithoutFile":
      return `A lease has no lock file in the folder of its service: ${event.reason}`;
    case "updateBegun":
      return `The update of app ${event.appId} to release ${event.commit} begins`;
    case "updateCommitted":
      return `Release ${event.commit} of app ${event.appId} is committed`;
    case "updateFailed":
      return `The update of app ${event.appId} to release ${event.commit} has failed, the committed release comes back: ${event.reason}`;
    case "updatePaused":
      return `The update of app ${event.appId} to release ${event.commit} has failed and stays as it is until somebody decides: ${event.reason}`;
    case "updateKept":
      return `The update of app ${event.appId} to release ${event.commit} has failed and stays: ${event.reason}`;
    case "updateRejected":
      return `Release ${event.commit} of app ${event.appId} is not tried again until the target changes: ${event.reason}`;
    case "updateDecided":
      return `${decisionWords[event.decision]} ${event.service === undefined || event.service === event.by ? "" : `for service '${event.service}' `}by ${event.by}`;
    case "purging":
      return `Purging data for app ${event.appId}`;
    case "purged":
      return "Purged data";
    case "bootConfigApplying":
      return "Applying the boot configuration";
    case "rebootRequired":
      return `A reboot will follow, for ${event.reason}`;
    case "rebootImpossible":
      return `The device should be rebooted for ${event.reason}, and the agent cannot`;
    case "rebooting":
      return "Rebooting";
    case "shuttingDown":
      return "Shutting down";
    case "rebootFailed":
      return "The machine did not reboot: the services come back";
    case "shutdownFailed":
      return "The machine did not shut down: the services come back";
    case "waiting":
      return `App ${event.subject} waits for ${event.reason}`;
    case "volumeChangeIgnored":
      return `App ${event.subject}: ${event.reason}`;
    case "configRefused":
    case "locked":
    case "stepFailed":
      return event.reason;
    case "reportFailed":
      return `The cloud does not take the device's report: ${event.reason}`;
    case "reportFieldRefused":
      return `The cloud does not take this device's ${event.field}: ${event.reason}`;
    case "deviceUnknown":
      return `The cloud does not know this device (any more); its target state stays as it is. ${event.reason}`;
    case "stepRepeated":
      return `Done, and due again: ${event.reason}. It is tried again at growing intervals`;
    case "engineUnreachable":
      return `The engine cannot be looked at: ${event.reason}`;
    case "engineReachable":
      return "The engine answers again";
    case "targetWarning":
      return `Target state: ${event.reason}`;
    case "targetRefused":
      return `The cloud's target state cannot be used, the old one stands: ${event.reason}`;
    case "targetUnreachable":
      return `The cloud cannot be asked for the target state: ${event.reason}`;
    case "registered":
      return "Registered with the cloud";
    case "registrationImpossible":
      return "This device has no key for its cloud: put deviceApiKey, or apiKey and applicationId, into its config.json";
    case "registrationFailed":
      return `The device cannot be registered yet: ${event.reason}`;
    case "cloudInterrupted":
      return `The conversation with the cloud is interrupted: ${event.reason}`;
    case "metricsFailed":
      return `The machine cannot be measured: ${event.reason}`;
    case "nameRefused":
      return `The cloud does not take the name ${JSON.stringify(event.name)}: ${event.reason}`;
    case "tagsDelayed":
      return `The cloud cannot be told of the device's tags: ${event.reason}`;
    case "tagsRefused":
      return `The cloud does not take the tag ${event.names.join(", ")}`;
    case "logsDelayed":
      return `The logs wait for the cloud: ${event.reason}`;
    case "logsNotKept":
      return `Log lines for the cloud cannot be kept: ${event.reason}`;
    case "logLinesRefused":
      return `The cloud does not take ${event.count} log lines`;
    case "serviceLogUnreadable":
      return `The log of ${event.service} cannot be followed: ${event.reason}`;
    case "problemFound":
      return `Problem (${problemNames[event.problem]}): ${event.reason}`;
    case "problemEnded":
      return `The problem (${problemNames[event.problem]}) is over after ${showDuration(event.lastedMs)}`;
    case "memoryNotSaved":
      return `What the agent remembers cannot be written down: ${event.reason}`;
    case "eventsNotSaved":
      return `Events cannot be written down: ${event.reason}`;
    case "execStarted":
      return `'${event.command}' in service '${event.service}' is started by ${event.by}`;
    case "execEnded":
      return `'${event.command}' in service '${event.service}', started by ${event.by}, has ended: ${event.reason}`;
    case "requestFailed":
      return `${event.method} ${event.path} failed: ${event.reason}`;
  }
}

const decisionWords: Readonly<Record<UpdateDecision, string>> = {
  confirm: "The update was confirmed",
  apply: "The update was consented to",
  retry: "A new try of the failed release was asked for",
  rollback: "The return to the committed release was asked for",
};

const labelOf = (event: OfService): string =>
  event.service === undefined ? event.container.slice(0, 12) : `${event.service} ${event.image}`;

/** A stored event. It includes its text, so that it stays readable when the kinds of events change. */
export interface EventRecord extends About {
  readonly kind: string;
  readonly level: EventLevel;
  readonly audience: Kind["audience"];
  readonly text: string;
  /** The part of the text that says why, if the event has one. */
  readonly reason?: string | undefined;
  /** The principal that asked for it. */
  readonly by?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export function toRecord(event: Event, at: number): EventRecord {
  const { kind, appId, service, commit, cause, fields } = event;
  return {
    ...{ kind, ...eventKinds[kind], text: describe(event), at },
    ...(appId !== undefined && { appId }),
    ...(service !== undefined && { service }),
    ...(commit !== undefined && { commit }),
    ...(cause !== undefined && { cause }),
    ...(fields !== undefined && { fields }),
    ...("reason" in event && event.reason !== undefined && { reason: event.reason }),
    ...("by" in event && { by: event.by }),
  };
}
