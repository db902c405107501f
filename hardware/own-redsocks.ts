import { spawn } from "node:child_process";
import { lookup } from "node:dns/promises";
import { readFile, rm } from "node:fs/promises";
import { isIPv4 } from "node:net";
import { join } from "node:path";
import type { Clock } from "../core/ports/clock.ts";
import type { Objection, ProxySettings } from "../core/ports/proxy.ts";
import type { Log } from "../core/ports/log.ts";
import { Iptables, type Ruleset } from "./iptables.ts";
import { renderRedsocks } from "./redsocks-conf.ts";
import type { Redirector } from "./redsocks.ts";
import { readIfThere, replaceFile } from "./replace-file.ts";
import { environment, mustRun, type Run } from "./run.ts";

/**
 * The address on which redsocks listens; the same as on balenaOS. Containers cannot reach 127.0.0.1, the address in the
 * stock file. The host and its containers can reach another address of the loopback device; other machines cannot.
 */
const listen = { ip: "10.114.103.1", port: 12345, dnsIp: "10.114.103.1", dnsPort: 5313 };

/** The line in /proc/net/tcp of a socket that listens on this address and port. */
const listening = /^\s*\d+: 0167720A:3039 00000000:0000 0A /m;

/** Destinations that never use the proxy: reserved, private and multicast networks. Source: balenaOS's list. */
const reserved = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "224.0.0.0/4",
  "240.0.0.0/4",
];

const chain = "FAIRLEAD-PROXY";
const dnsChain = "FAIRLEAD-PROXY-DNS";
// Connections of redsocks itself are not redirected. That would be a loop.
const notRedsocks = "-m owner ! --uid-owner redsocks";

/** The rules that redirect connections to redsocks, except those to the addresses and subnets in `direct`. */
function redirection(direct: readonly string[], dns: boolean): Ruleset {
  return {
    table: "nat",
    chains: {
      [chain]: [
        // Connections to the device itself.
        "-m addrtype --dst-type LOCAL -j RETURN",
        ...[...direct, ...reserved].map((subnet) => `-d ${subnet} -j RETURN`),
        `-p tcp -j DNAT --to-destination ${listen.ip}:${listen.port}`,
      ],
      [dnsChain]: dns ? [`-p udp -j DNAT --to-destination ${listen.dnsIp}:${listen.dnsPort}`] : [],
    },
    jumps: [
      { from: "OUTPUT", to: chain, match: `-p tcp ${notRedsocks}`, at: "last" },
      { from: "PREROUTING", to: chain, match: "-p tcp", at: "last" },
      { from: "OUTPUT", to: dnsChain, match: `-p udp --dport 53 ${notRedsocks} ! -d 127.0.0.0/8`, at: "last" },
      { from: "PREROUTING", to: dnsChain, match: "-p udp --dport 53", at: "last" },
    ],
  };
}

/** The configuration file for redsocks: the settings, our listening address, and an unprivileged user. */
const runningCopy = (settings: ProxySettings): string =>
  renderRedsocks(settings, listen)
    .replace("log_info = on;", "log_info = off;")
    .replace("redirector = iptables;", "redirector = iptables;\n\tuser = redsocks;\n\tgroup = redsocks;");

const checkMs = 5_000;
const startMs = 5_000;

/**
 * A redsocks process started by the agent, and its redirection rules, for a host whose operating system has no proxy. It
 * is a child process and not a systemd unit, so it also runs in a container and without systemd. It then also runs in the
 * agent's network namespace, where the rules are. It keeps running when the agent ends, because containers keep running
 * and use it. The next agent takes it over.
 */
export class OwnRedsocks implements Redirector {
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #run: Run;
  readonly #iptables: Iptables;
  readonly #end = new AbortController();
  #wanted: ProxySettings | undefined;
  #watching: Promise<void> | undefined;
  /** The last change. Each change waits for the one before it. */
  #lastChange: Promise<unknown> = Promise.resolve();

  /** `folder` contains redsocks' configuration file and process id. */
  constructor(folder: string, { clock, log, run }: { clock: Clock; log: Log; run: Run }) {
    this.#folder = folder;
    this.#clock = clock;
    this.#log = log;
    this.#run = run;
    this.#iptables = new Iptables(4, run);
  }

  async check(settings: ProxySettings): Promise<Objection | undefined> {
    const said = await this.#try(runningCopy(settings));
    if (said === undefined) return undefined;
    if (settings.dns !== undefined && (await this.#try(runningCopy(withoutDns(settings)))) === undefined)
      return { to: "dns", reason: `expected no value, since the installed redsocks cannot forward DNS (${said})` };
    return { to: "", reason: `redsocks rejects it: ${said}` };
  }

  /** The error that redsocks reports for a configuration. Undefined if it accepts it. */
  async #try(text: string): Promise<string | undefined> {
    const file = join(this.#folder, "redsocks.check");
    await replaceFile(file, text, 0o600);
    try {
      const { code, stderr } = await this.#run("redsocks", ["-t", "-c", file]);
      return code === 0
        ? undefined
        : stderr
            .replace(/^file parsing error at line \d+: /, "")
            .trim()
            .split("\n", 1)[0];
    } finally {
      await rm(file, { force: true });
    }
  }

  async use(settings: ProxySettings | undefined): Promise<void> {
    const change = this.#lastChange.then(async () => {
      this.#wanted = settings;
      await (settings ? this.#on(settings) : this.#off());
    });
    this.#lastChange = change.catch(() => undefined);
    await change;
    this.#watching ??= this.#watch();
  }

  /** Stops watching redsocks. redsocks keeps running, and the rules stay. */
  async stop(): Promise<void> {
    this.#end.abort();
    await this.#watching;
    await this.#lastChange;
  }

  async #on(settings: ProxySettings): Promise<void> {
    await mustRun(this.#run, "ip", ["address", "replace", `${listen.ip}/32`, "dev", "lo", "scope", "host"]);
    await this.#ensureRunning(settings);
    await this.#iptables.apply(redirection(await this.#addresses(settings.noProxy ?? []), settings.dns !== undefined));
  }

  async #off(): Promise<void> {
    await this.#iptables.remove(redirection([], false));
    await this.#kill();
    await rm(this.#conf, { force: true });
    // The address may not exist. The exit code is ignored.
    await this.#run("ip", ["address", "delete", `${listen.ip}/32`, "dev", "lo"]);
  }

  get #conf(): string {
    return join(this.#folder, "redsocks.running");
  }
  get #pidFile(): string {
    return join(this.#folder, "redsocks.pid");
  }

  async #ensureRunning(settings: ProxySettings): Promise<void> {
    const text = runningCopy(settings);
    if ((await this.#pid()) !== undefined && (await readIfThere(this.#conf)) === text) return;
    await this.#kill();
    await replaceFile(this.#conf, text, 0o600);
    const child = spawn("redsocks", ["-c", this.#conf], {
      detached: true,
      stdio: ["ignore", "ignore", "inherit"],
      env: environment,
    });
    const ended = new Promise<string>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (code, signal) => resolve(`it ended with ${code ?? signal}`));
    });
    child.unref();
    if (child.pid !== undefined) await replaceFile(this.#pidFile, `${child.pid}\n`);
    const failure = await Promise.race([ended, this.#listens()]);
    if (failure === undefined) return;
    await this.#kill();
    throw new Error(`Redsocks does not start: ${failure}`);
  }

  async #listens(): Promise<string | undefined> {
    for (let waited = 0; waited < startMs; waited += 20) {
      if (listening.test(await readFile("/proc/net/tcp", "utf8"))) return undefined;
      await this.#clock.sleep(20);
    }
    return "it does not listen";
  }

  /** The id of the redsocks process that this or an earlier agent started. Undefined if it is not running. */
  async #pid(): Promise<number | undefined> {
    const pid = Number(await readIfThere(this.#pidFile));
    if (!Number.isInteger(pid) || pid <= 1) return undefined;
    // The kernel may have given this id to another process since.
    const words = (await readIfThere(`/proc/${pid}/cmdline`).catch(() => undefined))?.split("\0") ?? [];
    return words[0] === "redsocks" && words.includes(this.#conf) ? pid : undefined;
  }

  async #kill(): Promise<void> {
    const pid = await this.#pid();
    if (pid !== undefined) process.kill(pid, "SIGTERM");
    for (let waited = 0; (await this.#pid()) !== undefined; waited += 20) {
      if (waited === 2_000 && pid !== undefined) process.kill(pid, "SIGKILL");
      await this.#clock.sleep(20);
    }
    await rm(this.#pidFile, { force: true });
  }

  /** Restarts redsocks when it has ended. Until then, all redirected connections fail. */
  async #watch(): Promise<void> {
    const { signal } = this.#end;
    let said = "";
    while (!signal.aborted) {
      await this.#clock.sleep(checkMs, signal);
      const restart = this.#lastChange.then(async () => {
        if (signal.aborted || !this.#wanted || (await this.#pid()) !== undefined) return;
        try {
          await this.#on(this.#wanted);
          this.#log.warn("Redsocks ended and was started again");
          said = "";
        } catch (error) {
          if (String(error) !== said) this.#log.warn(`The proxy does not work: ${String(error)}`);
          said = String(error);
        }
      });
      this.#lastChange = restart;
      await restart;
    }
  }

  /** Keeps IPv4 addresses and subnets, resolves names, and drops IPv6 addresses: redsocks supports only IPv4. */
  async #addresses(noProxy: readonly string[]): Promise<string[]> {
    const found = await Promise.all(
      noProxy.map(async (one) => {
        if (isSubnet(one)) return [one];
        if (one.includes(":")) return [];
        try {
          return (await lookup(one, { family: 4, all: true })).map(({ address }) => address);
        } catch {
          this.#log.warn(`noProxy: no address was found for ${one}, so its connections use the proxy`);
          return [];
        }
      }),
    );
    return [...new Set(found.flat())];
  }
}

const isSubnet = (text: string): boolean => {
  const [address = "", bits = "32", ...more] = text.split("/");
  return isIPv4(address) && /^\d{1,2}$/.test(bits) && Number(bits) <= 32 && more.length === 0;
};

const withoutDns = ({ dns: _, ...rest }: ProxySettings): ProxySettings => rest;
