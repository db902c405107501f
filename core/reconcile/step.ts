import type { Difference } from "../compose/differences.ts";
import type { ContainerSpec, RestartPolicy } from "../model/container.ts";
import type { BootSettings } from "../model/boot-config.ts";
import type { DiskFigures } from "../model/disk.ts";
import type { FirewallPolicy } from "../model/firewall.ts";
import type { ImageReference } from "../model/image.ts";
import type { NetworkSpec, VolumeSpec } from "../model/network.ts";
import type { ProblemKind } from "../model/problem.ts";
import type { UpdateFailure, UpdateRecord } from "../model/update.ts";

/** One action, wait or note, as a plain value. `plan` decides when it is due; `apply` applies it; `describe` prints it. */
export type Step =
  /** Due: an image of the target is missing. Starts a download that continues in the background. */
  | {
      readonly action: "fetch";
      readonly image: ImageReference;
      readonly appId: number;
      readonly service: string;
      readonly imageId: number;
    }
  /** Due: no service needs the image any more, or a strategy removes it before the next download. */
  | { readonly action: "removeImage"; readonly name: string }
  | { readonly action: "createNetwork"; readonly name: string; readonly spec: NetworkSpec }
  /** Due: its definition has changed or was removed, and no container is connected. `why` is for the log. */
  | {
      readonly action: "removeNetwork";
      readonly id: string;
      readonly name: string;
      readonly why: string;
      readonly differences?: readonly Difference[];
    }
  /** Due: the API does not listen on the services' network yet. */
  | { readonly action: "openGateway"; readonly address: string }
  /** Due: the boot loader's settings differ. A reboot follows. */
  | { readonly action: "setBootConfig"; readonly settings: BootSettings }
  /** Due: the config has a value that this machine does not support, which has not been logged yet. */
  | { readonly action: "refuseConfig"; readonly refused: readonly string[] }
  /** Due: this run of the agent has not set the firewall yet, or the policy has changed. */
  | { readonly action: "setFirewall"; readonly policy: FirewallPolicy }
  /** Due: neither the target nor a container uses the file. */
  | { readonly action: "removeFile"; readonly id: string }
  | { readonly action: "createVolume"; readonly name: string; readonly spec: VolumeSpec }
  /** Due: the device has left an application, and the removal of its volumes has not been announced in the log. */
  | {
      readonly action: "announceRemoval";
      readonly appId: number;
      readonly name: string;
      readonly volumes: readonly string[];
    }
  /** Due: the device has left the application, and all its objects have been removed. */
  | { readonly action: "forgetApplication"; readonly appId: number }
  /** Due: a purge, or the device has left the application; no container uses the volume. */
  | { readonly action: "removeVolume"; readonly name: string }
  /** Due: a running container must stop. */
  | {
      readonly action: "takeLocks";
      readonly appId: number;
      readonly services: readonly string[];
      readonly stops: readonly Stop[];
    }
  | Stop
  /** Due: no more containers must stop. */
  | { readonly action: "releaseLocks"; readonly appId: number }
  /** Due: the container exists and does not run, and was not stopped on purpose. */
  /** The same for a prepared container, which gets its own name first. */
  | {
      readonly action: "start";
      readonly id: string;
      readonly service: string;
      readonly as?: { readonly appId: number; readonly name: string };
    }
  /** Creates the container of a service and, unless the target says otherwise, starts it. */
  | {
      readonly action: "install";
      readonly appId: number;
      readonly service: string;
      readonly name: string;
      readonly spec: ContainerSpec;
      readonly start: boolean;
    }
  /** Due: an update is tried. Creates the next container of a service while the old one runs. `name`: until its start. */
  | {
      readonly action: "prepare";
      readonly appId: number;
      readonly service: string;
      readonly name: string;
      readonly spec: ContainerSpec;
    }
  /** Due: it was prepared for another target, or cannot start any more. */
  | { readonly action: "discard"; readonly id: string; readonly service: string }
  /** Due: the container stays the same in a new release. */
  | { readonly action: "rename"; readonly id: string; readonly service: string; readonly name: string }
  /** Due: the target wants the container that was moved aside, and its successor is gone. */
  | {
      readonly action: "takeBack";
      readonly appId: number;
      readonly id: string;
      readonly service: string;
      readonly name: string;
      readonly restart: RestartPolicy;
    }
  /** Due: an update begins, is resumed, fails or has been taken back. Nothing else happens before this is stored. */
  | { readonly action: "recordUpdate"; readonly appId: number; readonly record: UpdateRecord | undefined }
  /** Due: the target has proved itself. `failure`: it has not, and stays all the same, as its failure action says. */
  | {
      readonly action: "commitUpdate";
      readonly appId: number;
      readonly commit: string;
      readonly fingerprint: string;
      readonly failure?: UpdateFailure;
    }
  /** Due: the application is no longer in the target state, and nothing of it is left. */
  | { readonly action: "forgetUpdate"; readonly appId: number }
  /** Due: no container has the volume, and the update has not started anything. `image`: for the engine's copy. */
  | { readonly action: "snapshotVolume"; readonly appId: number; readonly volume: string; readonly image: string }
  /** Due: the update goes back, and no container has the volume. */
  | {
      readonly action: "restoreVolume";
      readonly appId: number;
      readonly volume: string;
      readonly spec: VolumeSpec;
      readonly image: string;
    }
  /** Due: the copy of the volume must not be restored, or cannot. */
  | { readonly action: "dropSnapshot"; readonly appId: number; readonly volume: string; readonly why: string }
  /** Due: no update needs the copy any more. */
  | { readonly action: "removeSnapshot"; readonly name: string }
  /** Due: a change takes effect only after a reboot, and all other steps are done. */
  | { readonly action: "reboot" }
  /**
   * `recheckMs`: no event announces the end of the wait, so the loop checks after this time. `again`: the step that was in
   * vain. `isSaid`: the reason has been logged already. `gate`: an update must prove itself; a reboot does not wait for it.
   */
  | {
      readonly action: "wait";
      readonly reason: string;
      readonly recheckMs?: number;
      readonly again?: Work;
      readonly isSaid?: true;
      readonly obstacle?: Obstacle;
      readonly gate?: true;
    }
  | Note;

/** Why a release cannot be downloaded, or cannot run here. It is known before anything is stopped. */
export interface Obstacle {
  readonly kind: Extract<ProblemKind, "diskFull" | "wrongArchitecture" | "portTaken">;
  /** Absent: it concerns the whole application. */
  readonly service?: string;
  /** What is waited for. */
  readonly reason: string;
  readonly disk?: DiskFigures;
}

/** Steps that stop or replace a container. They need the update locks. */
export type Stop =
  /** Stops and removes. `why` is for the log. `differences`: the fields that differ. `again`: this is a restart. */
  | {
      readonly action: "kill";
      readonly id: string;
      readonly service: string;
      readonly why: string;
      readonly differences?: readonly Difference[];
      readonly again?: boolean;
    }
  /** Due: the target says `running: false`. */
  | { readonly action: "stop"; readonly id: string; readonly service: string }
  /** Moves a container aside, so that its successor can start beside it. */
  | {
      readonly action: "moveAside";
      readonly appId: number;
      readonly id: string;
      readonly service: string;
      readonly name: string;
      readonly why: string;
      readonly differences?: readonly Difference[];
    };

/** A difference from the target that no step removes. A plan with only notes is settled. */
export type Note =
  /** The volume's definition has changed, but it may hold data. `fields`: the fields that differ, as in compose. */
  { readonly action: "keepVolume"; readonly appId: number; readonly name: string; readonly fields: readonly string[] };

export type Work = Exclude<Step, Note | { readonly action: "wait" }>;

export const isNote = (step: Step): step is Note => step.action === "keepVolume";
export const isStop = (step: Step): step is Stop =>
  step.action === "kill" || step.action === "stop" || step.action === "moveAside";
export const isWork = (step: Step): step is Work => step.action !== "wait" && !isNote(step);

/** A step as a sentence. */
export function describe(step: Step): string {
  switch (step.action) {
    case "fetch":
      return `fetch image ${step.image.name}`;
    case "removeImage":
      return `remove image ${step.name}`;
    case "createNetwork":
      return `create network ${step.name}`;
    case "removeNetwork":
      return `remove network ${step.name} (${step.why})`;
    case "openGateway":
      return `answer the API on ${step.address}`;
    case "setBootConfig":
      return `set the boot configuration: ${Object.entries(step.settings)
        .flatMap(([key, values]) => values.map((value) => `${key}=${value}`))
        .join(", ")}`;
    case "refuseConfig":
      return `refuse of the config: ${step.refused.join("; ")}`;
    case "setFirewall":
      return `set the firewall: the host ${step.policy.closed ? "closed" : "open"}, the API for ${step.policy.localMode ? "developers too" : "services only"}`;
    case "removeFile":
      return `remove file ${step.id}, which no service uses`;
    case "createVolume":
      return `create volume ${step.name}`;
    case "announceRemoval":
      return `announce that volumes of app ${step.appId} will be removed: ${step.volumes.join(", ")}`;
    case "forgetApplication":
      return `forget app ${step.appId}`;
    case "removeVolume":
      return `remove volume ${step.name}`;
    case "takeLocks":
      return `take the update locks of app ${step.appId}`;
    case "releaseLocks":
      return `release the update locks of app ${step.appId}`;
    case "kill":
      return `kill ${step.service} (${step.why})`;
    case "stop":
      return `stop ${step.service}`;
    case "start":
      return `start ${step.service}`;
    case "install":
      return step.start ? `install and start ${step.service}` : `install ${step.service}`;
    case "prepare":
      return `create the next container of ${step.service}`;
    case "discard":
      return `remove the prepared container of ${step.service}`;
    case "rename":
      return `rename ${step.service} to ${step.name}`;
    case "moveAside":
      return `move ${step.service} aside for a hand-over (${step.why})`;
    case "takeBack":
      return `take ${step.service} back from its hand-over`;
    case "recordUpdate":
      return `record that ${describeRecord(step)}`;
    case "commitUpdate":
      return `commit release ${step.commit} of app ${step.appId}`;
    case "forgetUpdate":
      return `forget the committed release of app ${step.appId}`;
    case "snapshotVolume":
      return `copy volume ${step.volume}`;
    case "restoreVolume":
      return `restore volume ${step.volume}`;
    case "dropSnapshot":
      return `give up the copy of volume ${step.volume} (${step.why})`;
    case "removeSnapshot":
      return `remove copy ${step.name}`;
    case "reboot":
      return "reboot, for what takes effect only then";
    case "wait":
      return `wait for ${step.reason}`;
    case "keepVolume":
      return `keep volume ${step.name} as it is, though its definition has changed (${step.fields.join(", ")}): to apply it, purge app ${step.appId}, which deletes the data in its volumes`;
  }
}

function describeRecord({ appId, record }: Extract<Step, { readonly action: "recordUpdate" }>): string {
  const of = `app ${appId}`;
  switch (record?.phase) {
    case undefined:
      return `${of} has no update`;
    case "waiting":
      return `the update of ${of} is complete and waits`;
    case "trying":
      return `release ${record.commit} of ${of} is tried (${record.attempts})`;
    case "paused":
      return `the update of ${of} is paused: ${record.failure.message}`;
    case "back":
      return `${of} goes back: ${record.failure.message}`;
    case "rejected":
      return `release ${record.commit} of ${of} is rejected: ${record.failure.message}`;
  }
}

/**
 * The purpose of a step. Two steps that are due for the same reason have the same purpose, even if their ids differ.
 * Undefined for steps that have another way to detect that they were in vain.
 */
export function aimOf(step: Work): string | undefined {
  switch (step.action) {
    // Downloads have their own back-off. A reboot has three minutes to happen. What is recorded is not planned again.
    case "fetch":
    case "reboot":
    case "recordUpdate":
    case "commitUpdate":
    case "forgetUpdate":
    case "snapshotVolume":
    case "restoreVolume":
    case "dropSnapshot":
      return undefined;
    case "removeImage":
    case "createNetwork":
    case "createVolume":
    case "removeVolume":
    case "removeSnapshot":
      return `${step.action} ${step.name}`;
    case "removeNetwork":
      return `${step.action} ${step.name} ${groundsOf(step)}`;
    case "announceRemoval":
      return `${step.action} ${JSON.stringify(step.volumes)}`;
    case "forgetApplication":
      return `${step.action} ${step.appId}`;
    case "removeFile":
      return `${step.action} ${step.id}`;
    case "openGateway":
      return `${step.action} ${step.address}`;
    case "setBootConfig":
      return `${step.action} ${JSON.stringify(step.settings)}`;
    case "refuseConfig":
      return `${step.action} ${JSON.stringify(step.refused)}`;
    case "setFirewall":
      return `${step.action} ${JSON.stringify(step.policy)}`;
    case "takeLocks":
      return `${step.action} ${JSON.stringify(step.stops.map(aimOf))}`;
    case "releaseLocks":
      return step.action;
    case "kill":
    case "moveAside":
      return `replace ${step.service} ${groundsOf(step)}`;
    case "stop":
    case "start":
    case "discard":
      return `${step.action} ${step.id}`;
    case "install":
    case "prepare":
    case "rename":
    case "takeBack":
      return `${step.action} ${step.service} ${step.name}`;
  }
}

/** The fields that must change, with their new values; without fields, the object's id and the reason. */
const groundsOf = ({ id, why, differences }: Grounds): string =>
  differences ? JSON.stringify(differences.map(({ field, to }) => [field, to])) : `${id} ${why}`;

interface Grounds {
  readonly id: string;
  readonly why: string;
  readonly differences?: readonly Difference[];
}

/** Whether a step undoes an earlier one. If that is due again, it was not in vain. */
export function takesBack(step: Work, earlier: Work): boolean {
  switch (step.action) {
    case "kill":
    case "moveAside":
      return (earlier.action === "install" || earlier.action === "start") && earlier.service === step.service;
    case "stop":
      return earlier.action === "start" && earlier.id === step.id;
    case "discard":
      return earlier.action === "prepare" && earlier.service === step.service;
    case "removeNetwork":
      return earlier.action === "createNetwork" && earlier.name === step.name;
    case "removeVolume":
      return earlier.action === "createVolume" && earlier.name === step.name;
    case "takeBack":
      return earlier.action === "moveAside" && earlier.service === step.service;
    case "takeLocks":
      return earlier.action === "releaseLocks";
    default:
      return false;
  }
}
