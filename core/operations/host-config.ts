import { redact } from "../model/secrets.ts";
import { messageOf } from "../model/show.ts";
import { isReadable, type Proxy, type ProxyOutcome, type ProxySettings, type UnreadableProxy } from "../ports/proxy.ts";
import { isMissing, type Ports } from "../ports/index.ts";
import type { Loop } from "../reconcile/loop.ts";
import { withLocks, type Locked, type LockContext } from "./locks.ts";

export interface HostConfigContext extends LockContext {
  readonly ports: Pick<Ports, "locks" | "hostname" | "proxy">;
  readonly identity: { readonly uuid: string };
  readonly loop: Pick<Loop, "look">;
}

/** What to change: absent stays, null and empty clear. */
export interface HostConfigPatch {
  readonly hostname?: string | null | undefined;
  readonly proxy?: ProxyPatch | null | undefined;
}

type Patch<T, K extends keyof T> = { readonly [N in K]?: T[N] | null | undefined };
interface ProxyPatch extends Patch<ProxySettings, "login" | "password" | "noProxy"> {
  readonly type?: ProxySettings["type"] | undefined;
  readonly ip?: string | undefined;
  readonly port?: number | undefined;
  /** True: a public resolver. */
  readonly dns?: string | boolean | null | undefined;
}

export type HostConfigOutcome =
  | { readonly is: "done" }
  | { readonly is: "missing"; readonly missing: string }
  | { readonly is: "unfit"; readonly faults: readonly { readonly path: string; readonly message: string }[] }
  | Locked;

interface Options {
  readonly force: boolean;
  /**
   * Whether the principal may see the password that is kept. If not, it cannot have the password sent to another proxy
   * either.
   */
  readonly maySeePassword: boolean;
}

/** Changes the host's name and its proxy. Nothing is written while a service holds its lock. */
export async function setHostConfig(
  context: HostConfigContext,
  patch: HostConfigPatch,
  { force, maySeePassword }: Options,
): Promise<HostConfigOutcome> {
  const { hostname, proxy } = context.ports;
  if (patch.hostname !== undefined && isMissing(hostname)) return { is: "missing", ...hostname };
  if (patch.proxy !== undefined && isMissing(proxy)) return { is: "missing", ...proxy };

  const settings: Merged =
    patch.proxy === undefined || isMissing(proxy)
      ? { is: "unchanged" }
      : merge(await proxy.read(), patch.proxy, maySeePassword);
  if (settings.is === "incomplete") {
    const { missing, why } = settings;
    const faults = missing.map((field) => ({ path: `network.proxy.${field}`, message: `expected a value, ${why}` }));
    return { is: "unfit", faults };
  }
  if (patch.hostname === undefined && settings.is === "unchanged") return { is: "done" };

  const { current } = await context.loop.look();
  const outcome = await withLocks(context, current.containers, { force }, async (): Promise<HostConfigOutcome> => {
    // The proxy first: if it refuses, nothing has changed.
    if (settings.is !== "unchanged" && !isMissing(proxy)) {
      const written = await writeProxy(proxy, settings.is === "off" ? undefined : settings.proxy);
      if (written.is === "refused") {
        const path = ["network", "proxy", written.to].filter(Boolean).join(".");
        return { is: "unfit", faults: [{ path, message: written.reason }] };
      }
    }
    if (patch.hostname !== undefined && !isMissing(hostname))
      await hostname.write(patch.hostname || context.identity.uuid.slice(0, 7));
    return { is: "done" };
  });
  return outcome.is === "done" ? outcome.value : outcome;
}

/** The proxy's program may repeat the password in its refusal, and the password may be of an earlier request. */
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

/** The settings after a patch: null, `{}` or nothing but an empty noProxy switches the proxy off. */
function merge(
  found: ProxySettings | UnreadableProxy | undefined,
  patch: ProxyPatch | null,
  maySeePassword: boolean,
): Merged {
  if (patch === null) return { is: "off" };
  const before = found && isReadable(found) ? found : undefined;
  const named = Object.keys(patch);
  if (named.every((field) => field === "noProxy" && patch.noProxy?.length === 0)) return { is: "off" };
  // Recorded: a resolver without a proxy is accepted, and has no effect.
  if (!before && named.every((field) => field === "dns")) return { is: "unchanged" };
  const { type = before?.type, ip = before?.ip, port = before?.port } = patch;
  const missing = Object.entries({ type, ip, port }).flatMap(([field, value]) => (value === undefined ? [field] : []));
  if (type === undefined || ip === undefined || port === undefined)
    return {
      is: "incomplete",
      missing,
      why: found ? "since the host's cannot be read" : "since there is no proxy yet",
    };
  const isMoved = ip !== before?.ip || port !== before.port;
  if (!maySeePassword && isMoved && before?.password !== undefined && patch.password === undefined)
    return { is: "incomplete", missing: ["password"], why: "since the stored one is for another proxy" };
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
