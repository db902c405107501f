import { join } from "node:path";
import { systemClock as clock } from "../../core/ports/clock.ts";
import { isMissing, type Ports } from "../../core/ports/index.ts";
import type { Log } from "../../core/ports/log.ts";
import { findBootConfig } from "../../hardware/boot-config/index.ts";
import { busAt, type Bus } from "../../hardware/bus.ts";
import { IptablesFirewall, whyNotFilter } from "../../hardware/firewall.ts";
import { balenaHostname, hostnamed, unsettableHostname } from "../../hardware/hostname.ts";
import { findJournalctl, journalctl } from "../../hardware/journal.ts";
import { fileLight, findLed } from "../../hardware/led-class.ts";
import { gpioLight } from "../../hardware/led-gpio.ts";
import { BlinkingLed, type Light } from "../../hardware/led.ts";
import { logind } from "../../hardware/logind.ts";
import { findBalenaConfig, findBus, missing, pieces } from "../../hardware/pieces.ts";
import { findProxy } from "../../hardware/proxy.ts";
import { run } from "../../hardware/run.ts";
import type { Settings } from "./settings.ts";

export interface HostPorts {
  /** embedded: a simulated host; nothing on the machine changes. */
  readonly is: "real" | "embedded";
  readonly ports: Pick<Ports, "power" | "hostname" | "proxy" | "bootConfig" | "firewall" | "journal" | "led">;
  /** Applies the stored proxy settings. */
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
  /** Closes the connection to the bus. Call it after `stop`. */
  readonly close: () => void;
}

export interface HostOptions {
  readonly settings: Settings;
  readonly isEngineEmbedded: boolean;
  readonly osSlug: string;
  readonly apiPort: () => number;
  readonly log: Log;
}

/** Creates the host's adapters. With an engine in memory they are simulated, except those that settings make real. */
export async function findHostPorts(options: HostOptions): Promise<HostPorts> {
  const { settings, isEngineEmbedded, osSlug, apiPort, log } = options;
  const { hostRoot, stateDir } = settings;
  const embedded =
    isEngineEmbedded && settings.busAddress === undefined
      ? (await import("./embedded-host.ts")).embeddedHost(join(stateDir, "embedded-host"), hostRoot, log)
      : undefined;
  const busAddress = embedded ? undefined : (settings.busAddress ?? findBus(hostRoot));
  const bus = busAddress === undefined ? undefined : busAt(busAddress);
  const journal = findJournalctl(hostRoot);
  const light = chooseLight(settings, embedded !== undefined);
  const led = light && new BlinkingLed(light, clock, log);
  const canFilter = (settings.iptables ?? !isEngineEmbedded) && (await whyNotFilter(run)) === undefined;
  const found = findProxy({ ...settings, osSlug, bus, canFilter, clock, log });
  const proxy = isMissing(found) ? undefined : found;
  const firewall = canFilter ? new IptablesFirewall({ apiPort, onLan: settings.listen.length > 0, run }) : undefined;
  return {
    is: embedded ? "embedded" : "real",
    ports: {
      power: embedded?.power ?? (bus ? logind(bus, hostRoot, clock) : missing(pieces.bus)),
      hostname: embedded?.hostname ?? chooseHostname(settings, osSlug, bus),
      // With `--iptables yes`, the proxy is real even if the engine is in memory.
      proxy: isMissing(found) ? ((settings.iptables ? undefined : embedded?.proxy) ?? found) : found.proxy,
      bootConfig:
        isEngineEmbedded && settings.bootConfig === undefined
          ? { missing: "an agent with the engine in memory does not change the board" }
          : findBootConfig(hostRoot, settings.bootConfig),
      firewall: firewall ?? missing(pieces.iptables),
      journal: journal ? journalctl(journal) : missing(pieces.journal),
      led: led ?? embedded?.led ?? missing(pieces.led),
    },
    start: async () => proxy?.proxy.start(),
    stop: async () => {
      await Promise.all([led?.stop(), proxy?.stop(), firewall?.stop()]);
    },
    close: () => bus?.close(),
  };
}

/** With `onlyGiven`, uses only an LED from the settings and does not search for one. */
function chooseLight({ ledFile, ledGpio, hostRoot }: Settings, onlyGiven: boolean): Light | undefined {
  const file = ledFile ?? (ledGpio || onlyGiven ? undefined : findLed(hostRoot));
  if (file !== undefined) return fileLight(file);
  return ledGpio && gpioLight(ledGpio);
}

function chooseHostname({ configFile, hostRoot }: Settings, osSlug: string, bus: Bus | undefined): Ports["hostname"] {
  if (osSlug !== "balena-os") return bus ? hostnamed(bus) : unsettableHostname(hostRoot, missing(pieces.bus));
  const file = configFile ?? findBalenaConfig(hostRoot);
  return file === undefined ? unsettableHostname(hostRoot, missing(pieces.configJson)) : balenaHostname(file, hostRoot);
}
