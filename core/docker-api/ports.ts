import * as z from "zod";
import { sortPorts } from "../compose/ports.ts";
import type { Port } from "../model/container.ts";

/** The engine's `PortBindings`. */
export const PortBindings = z.record(
  z.string(),
  z.array(z.looseObject({ HostIp: z.string().nullish(), HostPort: z.string().nullish() })).nullish(),
);

/** Ports → the engine's `PortBindings`. */
export function toPortBindings(ports: readonly Port[]): Record<string, { HostIp: string; HostPort: string }[]> {
  const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const { target, protocol, published, ip } of ports)
    (bindings[`${target}/${protocol}`] ??= []).push({ HostIp: ip, HostPort: published });
  return bindings;
}

/** The engine's `PortBindings` → ports. */
export const fromPortBindings = (bindings: z.output<typeof PortBindings>): Port[] =>
  sortPorts(
    Object.entries(bindings).flatMap(([key, hosts]) => {
      const [target, protocol = "tcp"] = key.split("/");
      return (hosts ?? []).map(({ HostIp, HostPort }) => ({
        target: Number(target),
        protocol,
        published: HostPort ?? "",
        ip: HostIp ?? "",
      }));
    }),
  );
