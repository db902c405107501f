import { expect } from "vitest";
import { live, settle, type Fate } from "./life.ts";
import { secret } from "./wishes.ts";
import type { World } from "./world.ts";

/** `SEED=1234 npm run simulate` repeats one life and tells its story. */
export const seeds = process.env["SEED"] ? [Number(process.env["SEED"])] : range(Number(process.env["SEEDS"] ?? 2000));
export const told = process.env["SEED"] !== undefined;

export function range(length: number): number[] {
  return Array.from({ length }, (_, n) => n);
}

/** The promises of the end: on target, at rest, and so after a restart of the agent. */
async function endings(world: World): Promise<string[]> {
  const left = await settle(world);
  const mixed = await world.promises.mixed(await world.heldUp());
  const broken = mixed.map((one) => `Mixes no releases in the end: ${one}`);
  if (left.length > 0) return [...broken, ...left.map((one) => `Converges: ${one}`)];

  const rested = await doings(world, () => world.clock.advance(3_600_000));
  broken.push(...rested.map((one) => `Rests: ${one}`));

  const heldUp = await world.heldUp();
  const { containers, images } = await world.engine.look();
  const theirs = containers.filter(({ appId, service }) => heldUp.has(`${appId}/${service}`));
  const theirImages = images
    .filter(({ id }) => theirs.some(({ spec }) => spec.image === id))
    .flatMap(({ tags }) => tags);
  const mayMove = new Set([...heldUp, ...theirImages]);
  world.crash();
  const restarted = await doings(world, async () => {
    await world.elapse(world.boot({ faults: 0, delays: 0 }));
    await world.clock.advance(60_000);
  });
  // What people had stopped starts again with the agent, what it held up comes with it, and nothing else happens.
  broken.push(...restarted.filter((one) => !mayMove.has(subjectOf(one))).map((one) => `Rests after a restart: ${one}`));
  return broken;
}

/** `12 stop 1/a`, `12 create a_3_1_c0` (service, image, application, commit) → `1/a`; `12 remove image a:v1` → `a:v1` */
export function subjectOf(line: string): string {
  const subject = line.split(" ").at(-1) ?? "";
  const [, service, appId] = /^(?:old_)?([a-z]+)_\d+_(\d+)_/.exec(subject) ?? [];
  return service ? `${appId}/${service}` : subject;
}

export async function doings(world: World, act: () => Promise<void>): Promise<string[]> {
  const before = world.story.length;
  await act();
  return world.story.slice(before).filter((line) => /^\d+ (create|remove|stop)/.test(line));
}

export async function judge(fate: Fate): Promise<World> {
  const { world } = await live(fate);
  const ends = await endings(world);
  const broken = [...world.broken, ...ends];
  broken.push(...world.log.lines.filter((line) => line.includes(secret)).map((line) => `Keeps secrets: ${line}`));
  if (broken.length > 0 || told) {
    const story = told ? `\n${world.story.join("\n")}\n${world.log.lines.join("\n")}` : "";
    const again = `SEED=${fate.seed}${fate.crashAt === undefined ? "" : ` CRASH_AT=${fate.crashAt}`} npm run simulate`;
    expect(broken, `seed ${fate.seed}: repeat it with  ${again}${story}`).toEqual([]);
  }
  return world;
}
