import { isIPv4 } from "node:net";
import type { Objection, ProxySettings } from "../core/ports/proxy.ts";

/**
 * Parsing and rendering of the two files of balenaOS's proxy. redsocks.conf has the syntax of redsocks (parser.c of
 * redsocks 0.5). no_proxy has an address or a subnet on each line.
 */

const types = ["socks4", "socks5", "http-connect", "http-relay"] as const;

/** The listening address in the file. balenaOS's redsocks replaces it with its own. */
const stated = { ip: "127.0.0.1", port: 12345, dnsIp: "127.0.0.1", dnsPort: 53 };

export type RedsocksSettings = Omit<ProxySettings, "noProxy">;

/** Renders redsocks.conf. The inverse of `parseRedsocks`. */
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

/** redsocks parses an unquoted value that begins with a digit as a number, and allows few characters in other ones. */
const word = (value: string): string =>
  isIPv4(value) || /^[A-Za-z][A-Za-z0-9_.-]*$/.test(value) ? value : quoted(value);

const escapes: Readonly<Record<string, string>> = { "\n": "n", "\r": "r", "\t": "t" };

const quoted = (value: string): string => `"${value.replace(/["\\\n\r\t]/g, (one) => `\\${escapes[one] ?? one}`)}"`;

const unquoted = (inside: string): string =>
  inside.replace(/\\(.)/gs, (_, one: string) => Object.keys(escapes).find((char) => escapes[char] === one) ?? one);

/**
 * Parses redsocks.conf. Undefined if it describes no proxy. Also accepts files of other programs with unescaped quotes
 * inside quotes.
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

// A value is always on one line.
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

/** Renders no_proxy. Undefined if the file must not exist. */
export const renderNoProxy = (noProxy: readonly string[] | undefined): string | undefined =>
  noProxy && noProxy.length > 0 ? noProxy.join("\n") : undefined;

export const parseNoProxy = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

/** The first setting that cannot be written to the files. Undefined if all can. Tabs and line breaks are allowed. */
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
