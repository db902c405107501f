import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { MemoryPower } from "../../core/embedded/ports.ts";
import type { Hostname } from "../../core/ports/hostname.ts";
import type { Led } from "../../core/ports/led.ts";
import type { Power } from "../../core/ports/power.ts";
import type { Proxy } from "../../core/ports/proxy.ts";
import type { Log } from "../../core/ports/log.ts";
import { machineName } from "../../hardware/hostname.ts";
import { Redsocks } from "../../hardware/redsocks.ts";
import { readIfThere, replaceFile } from "../../hardware/replace-file.ts";

/**
 * A simulated host for the engine in memory, to try out the API. It supports every host operation, but changes nothing on
 * the machine. Its name and proxy are files in the state folder. They are validated as on a real host.
 */
export function embeddedHost(
  folder: string,
  hostRoot: string,
  log: Log,
): { readonly power: Power; readonly hostname: Hostname; readonly proxy: Proxy; readonly led: Led } {
  const nameFile = join(folder, "hostname");
  const say = (what: string) => log.info(`Embedded host: ${what}`);
  const redirector = {
    check: () => Promise.resolve(undefined),
    use: (settings: object | undefined) =>
      Promise.resolve(say(settings ? "a proxy is set; no connection goes through it" : "the proxy is off")),
  };
  return {
    power: new EmbeddedPower(say),
    hostname: {
      read: async () => (await readIfThere(nameFile)) ?? machineName(hostRoot),
      write: async (name) => {
        await mkdir(folder, { recursive: true });
        await replaceFile(nameFile, name, 0o644);
        say(`it is called ${name}; this machine keeps its name`);
      },
    },
    proxy: new Redsocks(join(folder, "system-proxy"), redirector, log),
    led: { blink: () => say("a LED would blink now, for 15 seconds") },
  };
}

/** Simulates a reboot or shutdown: the services stop, and start again after `startsAgainAfterMs`. */
class EmbeddedPower extends MemoryPower {
  readonly startsAgainAfterMs = 3_000;
  readonly #say: (what: string) => void;

  constructor(say: (what: string) => void) {
    super();
    this.#say = say;
  }

  override goDown(how: "reboot" | "shutdown"): Promise<void> {
    const word = how === "reboot" ? "reboot" : "be switched off";
    this.#say(`it would ${word} now; this machine goes on, and the services start again in 3 seconds`);
    this.required = false;
    return super.goDown(how);
  }
}
