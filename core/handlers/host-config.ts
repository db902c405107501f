import { reply, type Input, type Reply } from "../api/endpoint.ts";
import * as api from "../api/device/host-config.ts";
import { failed } from "../api/fields.ts";
import { setHostConfig as set, type HostConfigContext } from "../operations/host-config.ts";
import type { ProxySettings } from "../ports/proxy.ts";
import { isMissing, type Ports } from "../ports/index.ts";

/** The proxy's password is shown only to principals that may see all secrets; others see that there is one. */
export async function hostConfig(
  { scope }: Input<typeof api.hostConfig>,
  { ports: { hostname, proxy } }: { readonly ports: Pick<Ports, "hostname" | "proxy"> },
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

export async function setHostConfig(
  { body: { network, force }, scope }: Input<typeof api.setHostConfig>,
  context: HostConfigContext,
): Promise<Reply<typeof api.setHostConfig>> {
  const options = { force: force || network.force, maySeePassword: scope.secrets === "all" };
  const outcome = await set(context, network, options);
  switch (outcome.is) {
    case "done":
      return reply(200, "OK");
    case "missing":
      return reply(501, failed(outcome.missing));
    case "unfit":
      return api.unfit(outcome.faults);
    case "locked":
      return reply(423, outcome.message);
  }
}
