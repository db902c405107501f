import * as z from "zod";
import type { Port } from "../model/container.ts";
import { parsed } from "./quantities.ts";

type Range = { readonly from: number; readonly to: number };

const expected = 'a port such as "80", "8080:80", "127.0.0.1:8080-8081:80-81/udp"';

/** "80" or "80-90", within 1…65535. */
function parseRange(text: string): Range | undefined {
  const [, from = "", to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const range = { from: Number(from), to: Number(to) };
  return from && range.from >= 1 && range.from <= range.to && range.to <= 65535 ? range : undefined;
}

const show = ({ from, to }: Range) => (from === to ? String(from) : `${from}-${to}`);

/**
 * One line of `ports:` → one entry for each container port. A range of host ports for one container port stays a range,
 * and the engine chooses a port from it.
 */
export function parsePorts(text: string): Port[] | undefined {
  const [, ip = "", host, inside = "", protocol = "tcp"] =
    /^(?:(?:(\[[0-9a-f:.%]+\]|(?:\d{1,3}\.){3}\d{1,3}):)?([\d-]*):)?([\d-]+)(?:\/(tcp|udp|sctp))?$/i.exec(text) ?? [];
  const target = parseRange(inside);
  const published = host ? parseRange(host) : undefined;
  if (!target || (host && !published)) return undefined;
  const size = target.to - target.from;
  if (published && size > 0 && published.to - published.from !== size) return undefined;
  return Array.from({ length: size + 1 }, (_, n) => ({
    target: target.from + n,
    protocol: protocol.toLowerCase(),
    published: !published ? "" : size === 0 ? show(published) : String(published.from + n),
    ip: ip.replace(/^\[|\]$/g, ""),
  }));
}

const Short = parsed(expected, parsePorts);

const Long = z
  .looseObject({
    target: z.union([z.string(), z.number()]),
    published: z.union([z.string(), z.number()]).nullish(),
    protocol: z.enum(["tcp", "udp", "sctp"]).nullish(),
    host_ip: z.string().nullish(),
  })
  .transform(({ target, published, protocol, host_ip }, context) => {
    const ip = host_ip ? `${host_ip.includes(":") ? `[${host_ip}]` : host_ip}:` : "";
    const ports = parsePorts(`${ip}${published ?? ""}:${target}/${protocol ?? "tcp"}`);
    if (ports) return ports;
    context.addIssue({ code: "custom", message: "expected target and published to be ports, or ranges of one length" });
    return z.NEVER;
  });

export const sortPorts = (ports: readonly Port[]): Port[] => {
  const key = ({ target, protocol, ip, published }: Port) =>
    `${String(target).padStart(5)}/${protocol} ${ip}:${published}`;
  return [...new Map(ports.map((port) => [key(port), port])).entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, port]) => port);
};

/** `ports:` in its short and its long form. */
export const Ports = z
  .array(z.union([Short, Long], { error: `expected ${expected}` }))
  .transform((ports) => sortPorts(ports.flat()));

/** The host ports of a list that are not chosen by the engine, as `8080/tcp`. Two containers cannot use the same one. */
export const fixedHostPorts = (ports: readonly Port[]): string[] =>
  ports.filter(({ published }) => /^\d+$/.test(published)).map(({ published, protocol }) => `${published}/${protocol}`);
