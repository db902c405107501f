import * as z from "zod";
import { intervalMs, nextPollMs } from "../../core/cloud/poll.ts";
import { configOf } from "../../core/fleet/target.ts";
import { bareConfig } from "../../core/model/config.ts";
import { systemClock } from "../../core/ports/clock.ts";
import type { Cloud } from "../relay/workerd.ts";

/** One line of the table. */
export interface Line {
  readonly what: string;
  /** As people read it. */
  readonly unit: (value: number) => string;
  /** What it is without the cloud, or without what makes it cheap. */
  readonly baseline?: number;
  readonly ours: number;
  /** The original's, by its own intervals. */
  readonly original?: string;
}

/** A fleet of the cloud, and where its devices find that. */
export interface Fleet {
  readonly url: string;
  readonly id: number;
  /** With which devices join it. */
  readonly key: string;
}

export const dayMs = 86_400_000;
/** As our cloud has its devices ask when nobody says otherwise. */
export const pollsADay = dayMs / nextPollMs(intervalMs(bareConfig(configOf([])), undefined), 0.5);

export const services = ["web", "db"];

export const newCommit = (): string => systemClock.token(20);

export async function newFleet({ ask, url }: Cloud): Promise<Fleet> {
  const name = systemClock.token(4);
  const { id } = await ask(z.object({ id: z.int() }), "POST", "/admin/v1/fleets", { name });
  const keys = `/admin/v1/fleets/${id}/provisioning-keys`;
  const { key } = await ask(z.object({ key: z.string() }), "POST", keys, {});
  return { url, id, key };
}

/** Each of its services has another image than in the release before. */
export async function release({ ask }: Cloud, { id }: Fleet, commit: string): Promise<void> {
  const entries = services.map((name) => [name, { image: `registry.example/${name}:${commit}` }]);
  const composition = { services: Object.fromEntries(entries) };
  await ask(z.unknown(), "POST", `/admin/v1/fleets/${id}/releases`, { commit, composition });
}

/** A device's reports are 10 s apart; by then it has no more to say of an update. */
export const settle = (): Promise<void> => systemClock.sleep(12_000);

export const progress = (what: string): void => console.error(`… ${what}`);
