import type { ContainerSpec } from "../model/container.ts";
import type { BootSettings } from "../model/boot-config.ts";
import type { FirewallPolicy } from "../model/firewall.ts";
import type { ImageReference } from "../model/image.ts";
import type { NetworkSpec, VolumeSpec } from "../model/network.ts";

/**
 * One thing to do, or to wait for. `plan` knows when it is due, `apply` does it; `describe` says it, for logs and tests.
 * All are plain values.
 */
export type Step =
  /** Due: an image of the target is not here. Starts a download that goes on by itself. */
  | {
      readonly action: "fetch";
      readonly image: ImageReference;
      readonly appId: number;
      readonly service: string;
      readonly imageId: number;
    }
  /** Due: no service wants it any more (or it must go before its successor comes). */
  | { readonly action: "removeImage"; readonly name: string }
  | { readonly action: "createNetwork"; readonly name: string; readonly spec: NetworkSpec }
  /** Due: it is to be another or none, and nothing is on it any more. `why` is what the log says. */
  | { readonly action: "removeNetwork"; readonly id: string; readonly name: string; readonly why: string }
  /** Due: services can reach the API only once it answers on their network. */
  | { readonly action: "openGateway"; readonly address: string }
  /** Due: the boot loader has been told something else. A reboot follows. */
  | { readonly action: "setBootConfig"; readonly settings: BootSettings }
  /** Due: something of it is asked for that this machine does not do, and nobody has been told. */
  | { readonly action: "refuseBootConfig"; readonly refused: readonly string[] }
  /** Due: this run of the agent has not set it yet, or it is to be another. */
  | { readonly action: "setFirewall"; readonly policy: FirewallPolicy }
  | { readonly action: "createVolume"; readonly name: string; readonly spec: VolumeSpec }
  /** Due: a purge, and nothing uses it any more. */
  | { readonly action: "removeVolume"; readonly name: string }
  /** Due: something that runs must stop. */
  | { readonly action: "takeLocks"; readonly appId: number; readonly services: readonly string[] }
  /** Due: nothing more must stop. */
  | { readonly action: "releaseLocks"; readonly appId: number }
  /** Stops and removes. `why` is what the log says; `again`: it is only restarted. */
  | {
      readonly action: "kill";
      readonly id: string;
      readonly service: string;
      readonly why: string;
      readonly again?: boolean;
    }
  /** Due: the target says `running: false`. */
  | { readonly action: "stop"; readonly id: string; readonly service: string }
  /** Due: it is there and does not run, and nobody stopped it on purpose. */
  | { readonly action: "start"; readonly id: string; readonly service: string }
  /** Makes the container of a service and, unless the target says otherwise, starts it. */
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
  /** Moves a container aside, so that its successor can start beside it. */
  | {
      readonly action: "moveAside";
      readonly appId: number;
      readonly id: string;
      readonly service: string;
      readonly name: string;
      readonly why: string;
    }
  /** Due: all else is done, and something of it takes effect with the next start of the machine. */
  | { readonly action: "reboot" }
  /** `recheckMs` is set when nothing but time will tell that it is over. */
  | { readonly action: "wait"; readonly reason: string; readonly recheckMs?: number };

export type Work = Exclude<Step, { readonly action: "wait" }>;

export const isWork = (step: Step): step is Work => step.action !== "wait";

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
    case "refuseBootConfig":
      return `refuse of the boot configuration: ${step.refused.join("; ")}`;
    case "setFirewall":
      return `set the firewall: the host ${step.policy.closed ? "closed" : "open"}, the API for ${step.policy.localMode ? "developers too" : "services only"}`;
    case "createVolume":
      return `create volume ${step.name}`;
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
  }
}
