import { reply, type Input, type Reply } from "../api/endpoint.ts";
import type * as api from "../api/device/locks.ts";
import { refuse } from "../api/refusal.ts";
import { leaseLimit } from "../model/lease.ts";
import { covers, type Principal } from "../model/scope.ts";
import { findApp } from "../model/target.ts";
import type { Ports } from "../ports/index.ts";
import type { View } from "../reconcile/view.ts";
import type { Keys } from "../state/keys.ts";
import type { Leases, ListedLease } from "../state/leases.ts";
import type { Targets } from "../state/targets.ts";

export interface LocksContext {
  readonly leases: Pick<Leases, "list" | "find" | "create" | "renew" | "end" | "held">;
  readonly ports: Pick<Ports, "leaseFiles">;
  readonly keys: Pick<Keys, "ownerOf">;
  readonly targets: Pick<Targets, "current">;
  readonly view: () => View;
}

export async function locks(
  { scope }: Input<typeof api.locks>,
  { leases, ports }: LocksContext,
): Promise<Reply<typeof api.locks>> {
  const files = await ports.leaseFiles.lockedServices();
  const all = [
    ...leases
      .list()
      .map(({ expiresAt, ...lease }) => ({ ...lease, expiresAt: toIso(expiresAt), held: "lease" as const })),
    ...files.map(({ appId, service }) => ({ appId, service, owner: service, held: "file" as const })),
    ...[...leases.held()].flatMap(([appId, services]) =>
      services.map((service) => ({ appId, service, owner: "agent", held: "agent" as const })),
    ),
  ];
  return reply(200, { locks: all.filter(({ appId }) => covers(scope, appId)) });
}

export async function takeLock(
  { body: { appId, service, reason, ttl }, ...principal }: Input<typeof api.takeLock>,
  context: LocksContext,
): Promise<Reply<typeof api.takeLock>> {
  const services = servicesOf(appId, context);
  if (!services) return refuse("unknown-application", `This device has no application ${appId}`);
  if (service !== undefined && !services.includes(service))
    return refuse(
      "unknown-service",
      `Application ${appId} has no service ${service}, only: ${services.join(", ") || "none"}`,
    );
  const taken = await context.leases.create({
    ...{ appId, service, reason, owner: ownerOf(principal, context), ttlMs: ttl * 1000 },
    services: service === undefined ? services : [service],
  });
  switch (taken.is) {
    case "leased":
      return reply(201, toReply(taken.lease));
    case "swapping":
      return refuse("locked", `The agent replaces services of application ${appId} now. Try again in some seconds`);
    case "tooMany":
      return refuse(
        "limit-reached",
        `The device has ${leaseLimit} leases, the most that there can be. Release some of them`,
      );
  }
}

export async function renewLock(
  { params: { id }, body: { ttl }, scope }: Input<typeof api.renewLock>,
  { leases }: LocksContext,
): Promise<Reply<typeof api.renewLock>> {
  const found = leases.find(id);
  const renewed = found && covers(scope, found.appId) ? await leases.renew(id, ttl * 1000) : undefined;
  return renewed ? reply(200, toReply(renewed)) : noLease();
}

export async function releaseLock(
  { params: { id }, scope }: Input<typeof api.releaseLock>,
  { leases }: LocksContext,
): Promise<Reply<typeof api.releaseLock>> {
  const found = leases.find(id);
  if (!found || !covers(scope, found.appId)) return noLease();
  await leases.end(id);
  return { status: 204 };
}

const noLease = () =>
  refuse(
    "unknown-lease",
    "There is no such lease: it has ended, was released, or was overridden by force. An update may begin",
  );

const toReply = ({ id, owner, expiresAt }: ListedLease) => ({ id, owner, expiresAt: toIso(expiresAt) });

const toIso = (ms: number): string => new Date(ms).toISOString();

/** The services that an application has or is to have; undefined if the device has no such application. */
function servicesOf(
  appId: number,
  { targets, view }: Pick<LocksContext, "targets" | "view">,
): readonly string[] | undefined {
  const app = findApp(targets.current(), appId);
  const containers = view().current.containers.filter((container) => container.appId === appId);
  if (!app && containers.length === 0) return undefined;
  const names = [...(app?.services ?? []).map(({ name }) => name), ...containers.map(({ service }) => service)];
  return [...new Set(names)].sort();
}

/** Never from the body: a service could name another one. */
function ownerOf({ key, isRelayed }: Principal, { keys }: Pick<LocksContext, "keys">): string {
  const owner = key === undefined ? undefined : keys.ownerOf(key);
  return owner?.service ?? (isRelayed ? "cloud" : owner ? "device key" : "caller without a key");
}
