import { reply, type Input, type Reply } from "../api/endpoint.ts";
import * as api from "../api/device/host-config.ts";
import { failed } from "../api/fields.ts";
import { withLocks } from "../operations/locks.ts";
import { redact } from "../model/secrets.ts";
import { messageOf } from "../model/show.ts";
import { isReadable, type Proxy, type ProxyOutcome, type ProxySettings, type UnreadableProxy } from "../ports/proxy.ts";
import { isMissing } from "../ports/index.ts";
import type { Supervisor } from "../supervisor.ts";

/** The proxy's password is told to nobody but who may see all secrets: others learn that there is one. */
export async function hostConfig(
  { scope }: Input<typeof api.hostConfig>,
  { ports: { hostname, proxy } }: Supervisor,
): Promise<Reply<typeof api.hostConfig>> {
  const name = await hostname.read?.();
  if (isMissing(hostname) && name === undefined && isMissing(proxy))
    return reply(501, failed(`${hostname.missing}; ${proxy.missing}`));
  const settings = isMissing(proxy) ? undefined : await proxy.read();
  return reply(200, {
    network: {
      ...(name !== undefined && { hostname: name }),
      ...(settings && { proxy: scope.secrets === "all" ? settings : withoutPassword(settings) }),
    },
  });
}

const withoutPassword = ({ password, ...rest }: Partial<ProxySettings>) => ({
  ...rest,
  ...(password !== undefined && { hasPassword: true as const }),
});

type ProxyPatch = NonNullable<Input<typeof api.setHostConfig>["body"]["network"]["proxy"]>;

/** Changes only what is named; null and empty clear. Nothing is written while a service holds its lock. */
export async function setHostConfig(
  { body, scope }: Input<typeof api.setHostConfig>,
  supervisor: Supervisor,
): Promise<Reply<typeof api.setHostConfig>> {
  const { ports, identity } = supervisor;
  const { network } = body;
  const { hostname, proxy } = ports;
  if (network.hostname !== undefined && isMissing(hostname)) return reply(501, failed(hostname.missing));
  if (network.proxy !== undefined && isMissing(proxy)) return reply(501, failed(proxy.missing));

  const settings: Merged =
    network.proxy === undefined || isMissing(proxy)
      ? { is: "unchanged" }
      : merge(await proxy.read(), network.proxy, scope.secrets === "all");
  if (settings.is === "incomplete") {
    const { missing, why } = settings;
    return api.unfit(missing.map((field) => ({ path: `network.proxy.${field}`, message: `expected a value, ${why}` })));
  }
  if (network.hostname === undefined && settings.is === "unchanged") return reply(200, "OK");

  const { current } = await supervisor.loop.look();
  const outcome = await withLocks(supervisor, current.containers, { force: body.force || network.force }, async () => {
    // The proxy first: it may refuse, and then nothing has changed.
    if (settings.is !== "unchanged" && !isMissing(proxy)) {
      const written = await writeProxy(proxy, settings.is === "off" ? undefined : settings.proxy);
      if (written.is === "refused") {
        const path = ["network", "proxy", written.to].filter(Boolean).join(".");
        return api.unfit([{ path, message: written.reason }]);
      }
    }
    if (network.hostname !== undefined && !isMissing(hostname))
      await hostname.write(network.hostname || identity.uuid.slice(0, 7));
    return reply(200, "OK");
  });
  return outcome.is === "done" ? outcome.value : reply(423, outcome.message);
}

/** The proxy's program may repeat in its refusal what it was given: not the password, which may be an older caller's. */
async function writeProxy(proxy: Proxy, settings: ProxySettings | undefined): Promise<ProxyOutcome> {
  const secrets = settings?.password === undefined ? [] : [settings.password];
  try {
    const written = await proxy.write(settings);
    return written.is === "refused" ? { ...written, reason: redact(written.reason, { secrets }) } : written;
  } catch (error) {
    throw new Error(redact(messageOf(error), { secrets }));
  }
}

type Merged =
  | { readonly is: "unchanged" }
  | { readonly is: "off" }
  | { readonly is: "on"; readonly proxy: ProxySettings }
  | { readonly is: "incomplete"; readonly missing: readonly string[]; readonly why: string };

/**
 * The settings after a patch: null, `{}` or nothing but an empty noProxy switches the proxy off. `maySee`: the password that
 * is kept. Who may not see it cannot have it sent to another proxy either.
 */
function merge(found: ProxySettings | UnreadableProxy | undefined, patch: ProxyPatch | null, maySee: boolean): Merged {
  if (patch === null) return { is: "off" };
  const before = found && isReadable(found) ? found : undefined;
  const named = Object.keys(patch);
  if (named.every((field) => field === "noProxy" && patch.noProxy?.length === 0)) return { is: "off" };
  // Recorded: a resolver means nothing without a proxy, and is no fault.
  if (!before && named.every((field) => field === "dns")) return { is: "unchanged" };
  const { type = before?.type, ip = before?.ip, port = before?.port } = patch;
  const missing = Object.entries({ type, ip, port }).flatMap(([field, value]) => (value === undefined ? [field] : []));
  if (type === undefined || ip === undefined || port === undefined)
    return {
      is: "incomplete",
      missing,
      why: found ? "as that of the host cannot be read" : "as there is no proxy yet",
    };
  const isMoved = ip !== before?.ip || port !== before.port;
  if (!maySee && isMoved && before?.password !== undefined && patch.password === undefined)
    return { is: "incomplete", missing: ["password"], why: "as the one that is kept is for another proxy" };
  const pick = <T>(given: T | null | undefined, kept: T | undefined) =>
    given === undefined ? kept : (given ?? undefined);
  const login = pick(patch.login, before?.login);
  const password = pick(patch.password, before?.password);
  const given = patch.dns === true ? "8.8.8.8:53" : patch.dns === false ? null : patch.dns;
  const dns = pick(given, before?.dns);
  const noProxy = pick(patch.noProxy, found?.noProxy);
  return {
    is: "on",
    proxy: {
      type,
      ip,
      port,
      ...(login && { login }),
      ...(password && { password }),
      ...(dns && { dns }),
      ...(noProxy && noProxy.length > 0 && { noProxy }),
    },
  };
}
