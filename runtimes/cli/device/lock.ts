import { longestLeaseS } from "../../../core/model/lease.ts";
import { UsageError } from "../../node/settings-error.ts";
import { command } from "../command.ts";
import { secondsIn } from "../seconds.ts";
import { appOption, deviceOf, deviceOption, expectStatus, findApplication, type Device } from "./client.ts";

const usualTtl = "30m";

export const reasonOption = {
  type: "string",
  value: "<text>",
  hint: "what must not be interrupted; whoever wants to update reads it",
} as const;
const forOption = { type: "string", value: "<time>", hint: "such as 45s, 30m or 2h, at most 24h" } as const;

export const list = command({
  options: { device: deviceOption, app: appOption },
  about: "Leases, lock files of services, and the locks of the agent during an update.",
  run: async ({ options, show, ...io }) => {
    const device = await deviceOf(options, io);
    const appId = options.app === undefined ? undefined : (await findApplication(device, { app: options.app })).appId;
    const { locks } = expectStatus(await device.locks.reply(), 200);
    const shown = locks.filter((lock) => appId === undefined || lock.appId === appId);
    if (options.json) return show(shown);
    show(
      shown.map(({ id = "", appId: app, service = "(all)", owner, reason = "", expiresAt = "", held }) => ({
        ...{ id, app, service, owner, held, until: expiresAt.replace(/\.\d+Z$/, "Z"), reason },
      })),
      "No update lock is held",
    );
  },
});

export const take = command({
  options: {
    device: deviceOption,
    app: appOption,
    reason: reasonOption,
    for: { ...forOption, hint: `${forOption.hint} (${usualTtl})` },
  },
  about: "Prints the id of the lease. Without a service: for all services of the application.",
  run: async ({ words: [service], options, say, ...io }) => {
    const ttl = secondsOf(options.for ?? usualTtl);
    const lease = await takeLease(await deviceOf(options, io), { ...options, service, ttl });
    say(lease.id, lease);
  },
});

export const renew = command({
  options: { device: deviceOption, for: forOption },
  about:
    "The lease ends after this time from now. It fails if the lease has ended or was overridden: an update may begin.",
  run: async ({ words: [id = ""], options, say, ...io }) => {
    if (options.for === undefined) throw new UsageError(`Expected --for ${forOption.value}: ${forOption.hint}`);
    const body = { ttl: secondsOf(options.for) };
    const device = await deviceOf(options, io);
    const lease = expectStatus(await device.renewLock.reply({ params: { id }, body }), 200);
    say(`Renewed until ${lease.expiresAt}`, lease);
  },
});

export const release = command({
  options: { device: deviceOption },
  run: async ({ words: [id = ""], options, say, ...io }) => {
    const device = await deviceOf(options, io);
    expectStatus(await device.releaseLock.reply({ params: { id } }), 204);
    say("Released", { id });
  },
});

interface Wanted {
  readonly app?: string | undefined;
  readonly service: string | undefined;
  readonly reason?: string | undefined;
  readonly ttl: number;
}

export async function takeLease(device: Device, { app, service, reason, ttl }: Wanted) {
  if (!reason) throw new UsageError(`Expected --reason ${reasonOption.value}: ${reasonOption.hint}`);
  const { appId } = await findApplication(device, { app, service });
  const body = { appId, ...(service !== undefined && { service }), reason, ttl };
  return expectStatus(await device.takeLock.reply({ body }), 201);
}

const secondsOf = (given: string): number => secondsIn("for", given, forOption.hint, longestLeaseS);
