import type { Difference } from "../compose/differences.ts";
import type { ContainerSpec } from "../model/container.ts";
import type { BootSettings } from "../model/boot-config.ts";
import type { FirewallPolicy } from "../model/firewall.ts";
import type { ImageReference } from "../model/image.ts";
import type { NetworkSpec, VolumeSpec } from "../model/network.ts";

/** One thing to do, or to wait for: a plain value. `plan` decides when it is due, `apply` does it, `describe` is its sentence. */
export type Step =
  /** Due: an image of the target is not here. Starts a download that continues by itself. */
  | {
      readonly action: "fetch";
      readonly image: ImageReference;
      readonly appId: number;
      readonly service: string;
      readonly imageId: number;
    }
  /** Due: no service needs it any more, or it has to make room for its successor. */
  | { readonly action: "removeImage"; readonly name: string }
  | { readonly action: "createNetwork"; readonly name: string; readonly spec: NetworkSpec }
  /** Due: its definition has changed or is gone, and no container is connected to it. `why` is for the log. */
  | {
      readonly action: "removeNetwork";
      readonly id: string;
      readonly name: string;
      readonly why: string;
      readonly differences?: readonly Difference[];
    }
  /** Due: services reach the API only after it listens on their network. */
  | { readonly action: "openGateway"; readonly address: string }
  /** Due: the boot loader has other settings. A reboot follows. */
  | { readonly action: "setBootConfig"; readonly settings: BootSettings }
  /** Due: the config asks for something that this machine does not do, and that has not been logged. */
  | { readonly action: "refuseConfig"; readonly refused: readonly string[] }
  /** Due: this run of the agent has not set it yet, or the policy has changed. */
  | { readonly action: "setFirewall"; readonly policy: FirewallPolicy }
  | { readonly action: "createVolume"; readonly name: string; readonly spec: VolumeSpec }
  /** Due: the device has left an application, and it has not been logged which volumes will be removed. */
  | {
      readonly action: "announceRemoval";
      readonly appId: number;
      readonly name: string;
      readonly volumes: readonly string[];
    }
  /** Due: nothing is left of an application that the device has left. */
  | { readonly action: "forgetApplication"; readonly appId: number }
  /** Due: a purge, or an application that the device has left, and nothing uses it any more. */
  | { readonly action: "removeVolume"; readonly name: string }
  /** Due: something that runs must stop. */
  | {
      readonly action: "takeLocks";
      readonly appId: number;
      readonly services: readonly string[];
      readonly stops: readonly Stop[];
    }
  | Stop
  /** Due: nothing more must stop. */
  | { readonly action: "releaseLocks"; readonly appId: number }
  /** Due: it exists and does not run, and nobody stopped it on purpose. */
  | { readonly action: "start"; readonly id: string; readonly service: string }
  /** Creates the container of a service and, unless the target says otherwise, starts it. */
  | {
      readonly action: "install";
      readonly appId: number;
      readonly service: string;
      readonly name: string;
      readonly spec: ContainerSpec;
      readonly start: boolean;
    }
  /** Due: the same container serves another release. */
  | { readonly action: "rename"; readonly id: string; readonly service: string; readonly name: string }
  /** Due: everything else is done, and a change takes effect only after a reboot. */
  | { readonly action: "reboot" }
  /**
   * `recheckMs`: no event will announce the end of the wait, so the loop checks after that time. `again`: a step that was
   * done in vain. `isSaid`: the log says already what is waited for.
   */
  | {
      readonly action: "wait";
      readonly reason: string;
      readonly recheckMs?: number;
      readonly again?: Work;
      readonly isSaid?: true;
    }
  | Note;

/** Ends the run of a container; needs the update locks. */
export type Stop =
  /** Stops and removes. `why` is for the log; `differences` are the fields that differ; `again`: it is only restarted. */
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

/** Something wanted that will not be done. A plan of notes only is settled. */
export type Note =
  /** Its definition has changed, but it may hold data. `fields`: what differs, by the composition's names. */
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
    case "rename":
      return `rename ${step.service} to ${step.name}`;
    case "moveAside":
      return `move ${step.service} aside for a hand-over (${step.why})`;
    case "reboot":
      return "reboot, for what takes effect only then";
    case "wait":
      return `wait for ${step.reason}`;
    case "keepVolume":
      return `keep volume ${step.name} as it is, though its definition has changed (${step.fields.join(", ")}): to apply it, purge app ${step.appId}, which deletes the data in its volumes`;
  }
}

/**
 * The purpose of a step: equal for two steps that are due for the same reason, though ids differ. Undefined where something
 * else tells whether the step was in vain.
 */
export function aimOf(step: Work): string | undefined {
  switch (step.action) {
    // A download has its own back-off, and a machine that was asked to reboot has three minutes for it.
    case "fetch":
    case "reboot":
      return undefined;
    case "removeImage":
    case "createNetwork":
    case "createVolume":
    case "removeVolume":
      return `${step.action} ${step.name}`;
    case "removeNetwork":
      return `${step.action} ${step.name} ${groundsOf(step)}`;
    case "announceRemoval":
      return `${step.action} ${JSON.stringify(step.volumes)}`;
    case "forgetApplication":
      return `${step.action} ${step.appId}`;
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
      return `${step.action} ${step.id}`;
    case "install":
    case "rename":
      return `${step.action} ${step.service} ${step.name}`;
  }
}

/** The fields that must change, with their new values; if there are none, why this one must be removed. */
const groundsOf = ({ id, why, differences }: Grounds): string =>
  differences ? JSON.stringify(differences.map(({ field, to }) => [field, to])) : `${id} ${why}`;

interface Grounds {
  readonly id: string;
  readonly why: string;
  readonly differences?: readonly Difference[];
}

/** Whether a step undoes an earlier one, which is then rightly due again. */
export function takesBack(step: Work, earlier: Work): boolean {
  switch (step.action) {
    case "kill":
    case "moveAside":
      return (earlier.action === "install" || earlier.action === "start") && earlier.service === step.service;
    case "stop":
      return earlier.action === "start" && earlier.id === step.id;
    case "removeNetwork":
      return earlier.action === "createNetwork" && earlier.name === step.name;
    case "removeVolume":
      return earlier.action === "createVolume" && earlier.name === step.name;
    case "takeLocks":
      return earlier.action === "releaseLocks";
    default:
      return false;
  }
}
