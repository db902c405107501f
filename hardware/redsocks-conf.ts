import { isIPv4 } from "node:net";
import type { Objection, ProxySettings } from "../core/ports/proxy.ts";

/**
 * The two files of balenaOS's proxy, as text. Their form is the operating system's: redsocks.conf as redsocks reads it
 * (parser.c of redsocks 0.5), no_proxy with an address or a subnet on each line.
 */

const types = ["socks4", "socks5", "http-connect", "http-relay"] as const;

/** Where redsocks listens, as the file says it; the operating system's redsocks has its own idea. */
const stated = { ip: "127.0.0.1", port: 12345, dnsIp: "127.0.0.1", dnsPort: 53 };

export type RedsocksSettings = Omit<ProxySettings, "noProxy">;

/** → redsocks.conf. The inverse of `parseRedsocks`. */
export const renderRedsocks = (settings: RedsocksSettings, listen = stated): string =>
  [
    section("base", {
      log_debug: "off",
      log_info: "on",
      log: "stderr",
      daemon: "off",
      redirector: "iptables",
    }),
    section("redsocks", {
      type: settings.type,
      ip: word(settings.ip),
      port: String(settings.port),
      login: settings.login && quoted(settings.login),
      password: settings.password && quoted(settings.password),
      local_ip: listen.ip,
      local_port: String(listen.port),
    }),
    ...(settings.dns === undefined ? [] : [dnsSection(settings.dns, listen)]),
  ].join("\n");

function dnsSection(dns: string, listen: typeof stated): string {
  const [, ip = "", port = ""] = /^(.*):(\d+)$/.exec(dns) ?? [];
  return section("dnsu2t", {
    remote_ip: word(ip),
    remote_port: port,
    local_ip: listen.dnsIp,
    local_port: String(listen.dnsPort),
  });
}

const section = (name: string, entries: Readonly<Record<string, string | undefined>>): string =>
  [
    `${name} {`,
    ...Object.entries(entries).flatMap(([key, value]) => (value ? [`\t${key} = ${value};`] : [])),
    "}",
    "",
  ].join("\n");

/** Redsocks takes a bare word that begins with a digit for a number, and knows few characters in others. */
const word = (value: string): string =>
  isIPv4(value) || /^[A-Za-z][A-Za-z0-9_.-]*$/.test(value) ? value : quoted(value);

const escapes: Readonly<Record<string, string>> = { "\n": "n", "\r": "r", "\t": "t" };

const quoted = (value: string): string => `"${value.replace(/["\\\n\r\t]/g, (one) => `\\${escapes[one] ?? one}`)}"`;

const unquoted = (inside: string): string =>
  inside.replace(/\\(.)/gs, (_, one: string) => Object.keys(escapes).find((char) => escapes[char] === one) ?? one);

/**
 * redsocks.conf → settings; undefined when it describes no proxy. Also reads what others have written, who do not escape
 * quotes inside of quotes.
 */
export function parseRedsocks(text: string): RedsocksSettings | undefined {
  const { redsocks, dnsu2t } = parseSections(text);
  const type = types.find((one) => one === redsocks?.["type"]);
  const ip = redsocks?.["ip"];
  const port = Number(redsocks?.["port"]);
  if (!type || !ip || !(port > 0)) return undefined;
  const login = redsocks?.["login"];
  const password = redsocks?.["password"];
  const dns = dnsu2t?.["remote_ip"] && `${dnsu2t["remote_ip"]}:${dnsu2t["remote_port"] ?? 53}`;
  return { type, ip, port, ...(login && { login }), ...(password && { password }), ...(dns && { dns }) };
}

type Sections = Readonly<Partial<Record<string, Readonly<Partial<Record<string, string>>>>>>;

// No value spans lines.
const opening = /^\s*(\w+)\s*\{\s*$/;
const entry = /^\s*(\w+)\s*=\s*(?:"(.*)"|([^\s";]+))\s*;\s*(?:(?:\/\/|\/\*)[^"]*)?$/s;

function parseSections(text: string): Sections {
  const sections: Record<string, Record<string, string>> = {};
  let current: Record<string, string> | undefined;
  for (const line of text.split("\n")) {
    const [, name] = opening.exec(line) ?? [];
    if (name) current = sections[name] = {};
    else if (/^\s*\}/.test(line)) current = undefined;
    const [, key, inside, bare] = entry.exec(line) ?? [];
    if (key && current) current[key] = inside === undefined ? (bare ?? "") : unquoted(inside);
  }
  return sections;
}

/** → no_proxy; undefined: no such file. */
export const renderNoProxy = (noProxy: readonly string[] | undefined): string | undefined =>
  noProxy && noProxy.length > 0 ? noProxy.join("\n") : undefined;

export const parseNoProxy = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

/** What of these settings cannot be written; undefined when everything can. Tabs and line breaks of a login can. */
export function objectionTo({
  ip,
  login = "",
  password = "",
  dns,
  noProxy = [],
}: ProxySettings): Objection | undefined {
  const unwritable = /[^\P{Cc}\n\r\t]/u;
  for (const [to, value] of Object.entries({ ip, login, password }))
    if (unwritable.test(value) || !value.isWellFormed())
      return { to, reason: "expected a text without control characters" };
  if (dns !== undefined && !/^[\w.-]+:\d{1,5}$/.test(dns)) return { to: "dns", reason: 'expected "ADDRESS:PORT"' };
  const at = noProxy.findIndex((one) => !/^[A-Za-z0-9][A-Za-z0-9.:/-]*$/.test(one));
  return at < 0 ? undefined : { to: `noProxy.${at}`, reason: "expected an address or a subnet" };
}
