import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  isReadable,
  type Objection,
  type Proxy,
  type ProxyOutcome,
  type ProxySettings,
  type UnreadableProxy,
} from "../core/ports/proxy.ts";
import type { Log } from "../core/ports/log.ts";
import { objectionTo, parseNoProxy, parseRedsocks, renderNoProxy, renderRedsocks } from "./redsocks-conf.ts";
import { readIfThere, replaceFile } from "./replace-file.ts";

/** Redirects connections to the proxy. */
export interface Redirector {
  /** What is wrong with these settings. Undefined if they are valid. */
  check(settings: ProxySettings): Promise<Objection | undefined>;
  /** Applies the settings. Undefined switches the proxy off. Throws if that fails. */
  use(settings: ProxySettings | undefined): Promise<void>;
}

/** Stores the proxy's settings in two files, and applies them through a redirector. */
export class Redsocks implements Proxy {
  readonly #folder: string;
  readonly #redirector: Redirector;
  readonly #log: Log;

  /** `folder`: `system-proxy` on the boot partition of balenaOS. */
  constructor(folder: string, redirector: Redirector, log: Log) {
    this.#folder = folder;
    this.#redirector = redirector;
    this.#log = log;
  }

  /** Applies the stored settings again, because rules and processes do not survive a reboot. */
  async start(): Promise<void> {
    const settings = await this.read();
    if (!settings) return;
    if (!isReadable(settings))
      return this.#log.warn(`${this.#path("redsocks.conf")} describes no proxy: a type, an ip or a port is missing`);
    await mkdir(this.#folder, { recursive: true });
    await this.#redirector
      .use(settings)
      .catch((error: unknown) => this.#log.warn(`The proxy does not work: ${String(error)}`));
  }

  async read(): Promise<ProxySettings | UnreadableProxy | undefined> {
    const { conf, noProxy } = await this.#files();
    if (conf === undefined) return undefined;
    const settings = parseRedsocks(conf);
    const direct = parseNoProxy(noProxy ?? "");
    return { ...settings, ...(direct.length > 0 && { noProxy: direct }) };
  }

  async write(settings: ProxySettings | undefined): Promise<ProxyOutcome> {
    await mkdir(this.#folder, { recursive: true });
    const objection = settings && (objectionTo(settings) ?? (await this.#redirector.check(settings)));
    if (objection) return { is: "refused", ...objection };
    const [files, found] = [await this.#files(), await this.read()];
    try {
      await this.#keep({ conf: settings && renderRedsocks(settings), noProxy: renderNoProxy(settings?.noProxy) });
      await this.#redirector.use(settings);
    } catch (error) {
      await this.#keep(files);
      await this.#redirector
        .use(found && isReadable(found) ? found : undefined)
        .catch((again: unknown) => this.#log.warn(`The old proxy does not work either: ${String(again)}`));
      throw error;
    }
    return { is: "done" };
  }

  async #files(): Promise<Files> {
    const [conf, noProxy] = await Promise.all([
      readIfThere(this.#path("redsocks.conf")),
      readIfThere(this.#path("no_proxy")),
    ]);
    return { conf, noProxy };
  }

  async #keep({ conf, noProxy }: Files): Promise<void> {
    // no_proxy first, so that the proxy is never used for the destinations it excludes.
    await keep(this.#path("no_proxy"), noProxy, 0o644);
    await keep(this.#path("redsocks.conf"), conf, 0o600);
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }
}

const keep = (file: string, text: string | undefined, mode: number): Promise<void> =>
  text === undefined ? rm(file, { force: true }) : replaceFile(file, text, mode);

interface Files {
  readonly conf: string | undefined;
  readonly noProxy: string | undefined;
}

/** balenaOS's own proxy: units that read the files when they start. One of them sets the iptables rules. */
export const osRedirector = (restart: (unit: string) => Promise<void>): Redirector => ({
  // balenaOS's redsocks cannot be called from here to check the settings. It supports `dns`.
  check: () => Promise.resolve(undefined),
  use: async () => {
    // Older releases of balenaOS use the name resin-proxy-config.
    await restart("balena-proxy-config.service").catch(() => restart("resin-proxy-config.service"));
    await restart("redsocks.service");
  },
});
