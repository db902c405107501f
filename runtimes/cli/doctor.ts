import { isMissing } from "../../core/ports/index.ts";
import { findBootConfig } from "../../hardware/boot-config/index.ts";
import { busAt, type Bus } from "../../hardware/bus.ts";
import { hostnamed } from "../../hardware/hostname.ts";
import { whyNotFilter } from "../../hardware/firewall.ts";
import { findJournalctl } from "../../hardware/journal.ts";
import { findLed } from "../../hardware/led-class.ts";
import { canReboot } from "../../hardware/logind.ts";
import { findBalenaConfig, findBus, pieces, type Piece } from "../../hardware/pieces.ts";
import { findProgram, run } from "../../hardware/run.ts";
import { machineFacts } from "../../hardware/system.ts";
import type { Settings } from "../node/settings.ts";
import { messageOf } from "../../core/model/show.ts";

/** A piece of the host, and what there is of it; or why there is nothing, where more can be said than that. */
export interface Finding extends Piece {
  readonly found: string | undefined;
  readonly why?: string;
}

/** Looks for everything by which the agent works. Changes nothing, and never throws. */
export async function examine(settings: Settings): Promise<readonly Finding[]> {
  const { hostRoot, ledFile, ledGpio } = settings;
  const address = settings.busAddress ?? findBus(hostRoot);
  const bus = address === undefined ? undefined : busAt(address);
  const onBus = async (ask: (bus: Bus) => Promise<string | undefined>) => bus && ask(bus);
  const ownName =
    machineFacts(hostRoot).osSlug === "balena-os"
      ? look(pieces.configJson, () => settings.configFile ?? findBalenaConfig(hostRoot))
      : look(pieces.hostnamed, () => onBus(async (bus) => `the host is called ${await hostnamed(bus).read()}`));
  try {
    return await Promise.all([
      look(pieces.engine, async () => {
        if (settings.dockerHost !== undefined) process.env["DOCKER_HOST"] = settings.dockerHost;
        const { DockerEngine } = await import("../node/engine/docker-engine.ts");
        const { systemClock } = await import("../../core/ports/clock.ts");
        return (await DockerEngine.connect(systemClock)).name;
      }),
      look(pieces.bus, () => onBus((bus) => bus.call({ ...broker, member: "GetId" }).then(() => address))),
      look(pieces.logind, () => onBus(canReboot)),
      ownName,
      look(pieces.avahi, () =>
        onBus(async (bus) => {
          const runs = await bus.call({ ...broker, member: "NameHasOwner" }, "s", "org.freedesktop.Avahi");
          return runs === true ? "it runs" : undefined;
        }),
      ),
      look(pieces.journal, () => findJournalctl(hostRoot)?.join(" ")),
      look(pieces.redsocks, () => findProgram("redsocks")),
      look(pieces.iptables, async () => {
        const why = await whyNotFilter(run);
        if (why !== undefined) throw new Error(why);
        return settings.iptables === false ? "switched off by --iptables no" : findProgram("iptables-restore");
      }),
      look(pieces.bootConfig, () => {
        const found = findBootConfig(hostRoot, settings.bootConfig);
        if (isMissing(found)) throw new Error(found.missing);
        return `it takes ${found.prefix}…`;
      }),
      look(pieces.led, () => ledFile ?? (ledGpio ? `line ${ledGpio.line} of ${ledGpio.chip}` : findLed(hostRoot))),
    ]);
  } finally {
    bus?.close();
  }
}

const broker = { service: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };

async function look(piece: Piece, find: () => string | undefined | Promise<string | undefined>): Promise<Finding> {
  try {
    return { ...piece, found: await find() };
  } catch (error) {
    return { ...piece, found: undefined, why: messageOf(error) };
  }
}

const heads = ["PIECE", "FOUND", "WITHOUT IT", "TO HAVE IT"];

/** The findings as people read them; what is there needs no advice. */
export function toTable(findings: readonly Finding[]): string {
  const rows = findings.map(({ name, found, why, without, toHaveIt }) =>
    found === undefined ? [name, why ? `no: ${why}` : "no", without, toHaveIt] : [name, found],
  );
  const widths = heads.map((_, n) => Math.max(...[heads, ...rows].map((row) => row[n]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, n) => cell.padEnd(widths[n] ?? 0))
      .join("  ")
      .trimEnd();
  return [heads, ...rows].map((row) => `${line(row)}\n`).join("");
}
