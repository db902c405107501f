import { signal } from "@preact/signals";
import { Refusal } from "../../../core/client/index.ts";
import { whyOf } from "../live/actions.ts";

/** The same request for several devices, and what has come of it on each. */

export type DeviceResult =
  | { readonly is: "queued" | "asked" | "done" | "offline" }
  /** The operation was cancelled before this device was asked. */
  | { readonly is: "not asked" }
  | { readonly is: "refused"; readonly why: string }
  /** There is no answer, and the device may have done what was asked. */
  | { readonly is: "unknown"; readonly why: string };

export interface ChosenDevice {
  readonly uuid: string;
  readonly name: string;
}

export interface BulkRun {
  readonly fleetId: number;
  readonly title: string;
  readonly devices: readonly (ChosenDevice & { readonly result: DeviceResult })[];
}

export interface BulkRequest {
  readonly fleetId: number;
  readonly title: string;
  readonly devices: readonly ChosenDevice[];
  /** Must not repeat the request: a device may have done what was asked. */
  readonly send: (uuid: string) => Promise<unknown>;
}

const mostInFlight = 8;

const isOpen = ({ is }: DeviceResult): boolean => is === "queued" || is === "asked";

export const openOf = ({ devices }: BulkRun): number => devices.filter(({ result }) => isOpen(result)).length;

export class BulkOperation {
  /** The one under way, or the last one. */
  readonly run = signal<BulkRun | undefined>(undefined);
  #next = 0;

  /** Does nothing while another one is under way. */
  async start({ fleetId, title, devices, send }: BulkRequest): Promise<void> {
    if (this.run.value && openOf(this.run.value) > 0) return;
    this.run.value = { fleetId, title, devices: devices.map((one) => ({ ...one, result: { is: "queued" } })) };
    this.#next = 0;
    const work = async () => {
      for (let n = this.#next++; n < devices.length; n = this.#next++) {
        const uuid = devices[n]?.uuid ?? "";
        this.#set(uuid, { is: "asked" });
        this.#set(uuid, await resultOf(send(uuid)));
      }
    };
    await Promise.all(Array.from({ length: mostInFlight }, work));
  }

  /** Devices that were asked already answer all the same. */
  cancel(): void {
    const run = this.run.value;
    if (!run) return;
    this.#next = run.devices.length;
    for (const { uuid, result } of run.devices) if (result.is === "queued") this.#set(uuid, { is: "not asked" });
  }

  close(): void {
    this.run.value = undefined;
  }

  #set(uuid: string, result: DeviceResult): void {
    const run = this.run.value;
    if (!run) return;
    this.run.value = { ...run, devices: run.devices.map((one) => (one.uuid === uuid ? { ...one, result } : one)) };
  }
}

/** As the relay says it. A device itself answers in other forms. */
const offline = "No online device(s) found";

async function resultOf(answer: Promise<unknown>): Promise<DeviceResult> {
  try {
    await answer;
    return { is: "done" };
  } catch (error) {
    const why = whyOf(error);
    if (!(error instanceof Refusal)) return { is: "unknown", why };
    const { status, body }: { readonly status: number; readonly body: unknown } = error.reply;
    if (status === 404 && body === offline) return { is: "offline" };
    return mayHaveActed(body) ? { is: "unknown", why } : { is: "refused", why };
  }
}

const mayHaveActed = (body: unknown): boolean =>
  typeof body === "object" && body !== null && "mayHaveActed" in body && body.mayHaveActed === true;
