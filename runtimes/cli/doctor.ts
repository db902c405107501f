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
import { readSettings, settingOptions, withServiceEnvironment, type Settings } from "../node/settings.ts";
import { commonOptions, type Command } from "./command.ts";
import type { Io } from "./io.ts";
import { toTable as table } from "./table.ts";
import { messageOf } from "../../core/model/show.ts";

/** Resolves with 1 if the agent cannot work at all. */
export const doctor: Command = {
  options: { ...settingOptions, ...commonOptions },
  about: "Changes nothing. The options are those of fairlead agent. The exit status is 1 if there is no engine.",
  run: async (args, _, { environment, print, ...terminal }) => {
    const json = args.includes("--json");
    const own = args.filter((arg) => arg !== "--json");
    const settings = readSettings(own, withServiceEnvironment(environment));
    const findings = await examine(settings);
    print(json ? `${JSON.stringify(findings, undefined, 2)}\n` : toTable(findings, terminal));
    const lacksEngine = findings.some(({ name, found }) => name === pieces.engine.name && found === undefined);
    return lacksEngine && settings.engine === "docker" ? 1 : 0;
  },
};

/** A piece of the host and where it was found. `why`: the reason why it was not found, if it is known. */
export interface Finding extends Piece {
  readonly found: string | undefined;
  readonly why?: string;
}

/** Looks for every piece of the host that the agent uses. Changes nothing and never throws. */
export async function examine(settings: Settings): Promise<readonly Finding[]> {
  const { hostRoot, ledFile, ledGpio } = settings;
  const address = settings.busAddress ?? findBus(hostRoot);
  const bus = address === undefined ? undefined : busAt(address);
  const onBus = async (ask: (bus: Bus) => Promise<string | undefined>) => bus && ask(bus);
  const ownName =
    machineFacts(hostRoot).osSlug === "balena-os"
      ? find(pieces.configJson, () => settings.configFile ?? findBalenaConfig(hostRoot))
      : find(pieces.hostnamed, () => onBus(async (bus) => `the host is called ${await hostnamed(bus).read()}`));
  try {
    return await Promise.all([
      find(pieces.engine, async () => {
        const { DockerEngine } = await import("../node/engine/docker-engine.ts");
        const { systemClock } = await import("../../core/ports/clock.ts");
        return (await DockerEngine.connect(systemClock, settings.dockerHost)).name;
      }),
      find(pieces.bus, () => onBus((bus) => bus.call({ ...broker, member: "GetId" }).then(() => address))),
      find(pieces.logind, () => onBus(canReboot)),
      ownName,
      find(pieces.avahi, () =>
        onBus(async (bus) => {
          const runs = await bus.call({ ...broker, member: "NameHasOwner" }, "s", "org.freedesktop.Avahi");
          return runs === true ? "it runs" : undefined;
        }),
      ),
      find(pieces.journal, () => findJournalctl(hostRoot)?.join(" ")),
      find(pieces.redsocks, () => findProgram("redsocks")),
      find(pieces.iptables, async () => {
        const why = await whyNotFilter(run);
        if (why !== undefined) throw new Error(why);
        return settings.iptables === false ? "switched off by --iptables no" : findProgram("iptables-restore");
      }),
      find(pieces.bootConfig, () => {
        const found = findBootConfig(hostRoot, settings.bootConfig);
        if (isMissing(found)) throw new Error(found.missing);
        return `it takes ${found.prefix}…`;
      }),
      find(pieces.led, () => ledFile ?? (ledGpio ? `line ${ledGpio.line} of ${ledGpio.chip}` : findLed(hostRoot))),
    ]);
  } finally {
    bus?.close();
  }
}

const broker = { service: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };

async function find(piece: Piece, search: () => string | undefined | Promise<string | undefined>): Promise<Finding> {
  try {
    return { ...piece, found: await search() };
  } catch (error) {
    return { ...piece, found: undefined, why: messageOf(error) };
  }
}

const heads = ["piece", "found", "effect", "fix"];

/** The effect and the fix are shown only for missing pieces. Without a terminal's width, nothing is shortened. */
export function toTable(findings: readonly Finding[], { columns, style }: Pick<Io, "columns" | "style">): string {
  const rows = findings.map(({ name, found, why, effect, fix }) =>
    found === undefined ? [name, why ? `no: ${why}` : "no", effect, fix] : [name, found],
  );
  if (columns === undefined) return table(heads, rows, { columns, style });
  // What is missing is a list in a terminal, since its sentences are long.
  const missing = findings.filter(({ found }) => found === undefined);
  return [
    table(
      heads.slice(0, 2),
      rows.map((row) => row.slice(0, 2)),
      { columns, style },
    ),
    ...missing.map(({ name, effect, fix }) => `\n${style("bold", name)}\n  effect  ${effect}\n  fix     ${fix}\n`),
  ].join("");
}
