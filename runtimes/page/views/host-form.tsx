import { useSignal } from "@preact/signals";
import type { DeviceClient } from "../../../core/client/index.ts";
import { device as wires } from "../../../core/client/wires.ts";
import { toCurl, type Action } from "../live/actions.ts";
import { ActionButton } from "../parts/button.tsx";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";
import { useAnswer } from "./use-answer.ts";

type StoredHost = Awaited<ReturnType<DeviceClient["hostConfig"]>>["network"];

const proxyTypes = ["socks5", "socks4", "http-connect", "http-relay"] as const;

/** The host's name and proxy. What the host lacks is said instead of a field. */
export function HostForm() {
  const { store } = useDevice();
  const { value, fault } = useAnswer(() => store.client.hostConfig(), [store, store.events.value.length]);
  if (fault !== undefined)
    return (
      <section>
        <h2>{words.value.host.hostname}</h2>
        <p class="faint">{fault}</p>
      </section>
    );
  // The form keeps what is typed while the device changes.
  return value ? <Fields stored={value.network} /> : <p class="faint">{words.value.reading}</p>;
}

function Fields({ stored }: { readonly stored: StoredHost }) {
  const { store, address } = useDevice();
  const t = words.value.host;
  const lacks = store.hello.value?.lacks ?? {};
  const hostname = useSignal(stored.hostname ?? "");
  const proxy = useSignal({
    type: stored.proxy?.type ?? "",
    ip: stored.proxy?.ip ?? "",
    port: String(stored.proxy?.port ?? ""),
    login: stored.proxy?.login ?? "",
    password: "",
    noProxy: (stored.proxy?.noProxy ?? []).join(", "),
  });
  const save = (name: string, network: object, force = false): Action => {
    const body = { network: { ...network, force } };
    return {
      key: name,
      label: `${words.value.act.save}: ${name}`,
      send: () => store.client.setHostConfig({ body }),
      curl: toCurl(wires.setHostConfig, { body, ...address }),
      done: t.saved,
      ...(!force && { forced: save(name, network, true) }),
    };
  };
  const { type, ip, port, login, password, noProxy } = proxy.value;
  const exceptions = noProxy.split(/[\s,]+/).filter(Boolean);
  const chosen =
    type === "" ? null : { type, ip, port, login, noProxy: exceptions, ...(password !== "" && { password }) };
  const set = (name: keyof typeof proxy.value) => (event: { readonly currentTarget: { readonly value: string } }) =>
    (proxy.value = { ...proxy.value, [name]: event.currentTarget.value });
  return (
    <>
      <section class="form">
        <h2>{t.hostname}</h2>
        {lacks["hostname"] !== undefined && <p class="faint">{lacks["hostname"]}</p>}
        <label>
          <span class="hidden">{t.hostname}</span>
          <input
            value={hostname.value}
            maxLength={64}
            spellcheck={false}
            disabled={lacks["hostname"] !== undefined}
            aria-describedby="hostname-help"
            onInput={(event) => (hostname.value = event.currentTarget.value)}
          />
        </label>
        <small id="hostname-help">{t.hostnameHelp}</small>
        <div class="row">
          <ActionButton
            action={save(t.hostname, { hostname: hostname.value })}
            disabled={lacks["hostname"] !== undefined || hostname.value === (stored.hostname ?? "")}
          >
            {words.value.act.save}
          </ActionButton>
        </div>
      </section>
      <section class="form">
        <h2>{t.proxy}</h2>
        {lacks["proxy"] !== undefined ? (
          <p class="faint">{lacks["proxy"]}</p>
        ) : (
          <>
            <label>
              {t.proxyType}
              <select value={type} onChange={set("type")}>
                <option value="">{t.noProxy}</option>
                {proxyTypes.map((one) => (
                  <option key={one} value={one}>
                    {one}
                  </option>
                ))}
              </select>
            </label>
            {type !== "" && (
              <>
                <div class="pair">
                  <label>
                    {t.address}
                    <input value={ip} spellcheck={false} onInput={set("ip")} />
                  </label>
                  <label>
                    {t.port}
                    <input value={port} inputMode="numeric" onInput={set("port")} />
                  </label>
                </div>
                <div class="pair">
                  <label>
                    {t.login}
                    <input value={login} autocomplete="off" spellcheck={false} onInput={set("login")} />
                  </label>
                  <label>
                    {t.password}
                    <input type="password" value={password} autocomplete="new-password" onInput={set("password")} />
                  </label>
                </div>
                {(stored.proxy?.password !== undefined || stored.proxy?.hasPassword) && <small>{t.passwordKept}</small>}
                <label>
                  {t.exceptions}
                  <input value={noProxy} spellcheck={false} onInput={set("noProxy")} />
                </label>
                <small>{t.exceptionsHelp}</small>
              </>
            )}
            <div class="row">
              <ActionButton action={save(t.proxy, { proxy: chosen })}>{words.value.act.save}</ActionButton>
            </div>
          </>
        )}
      </section>
    </>
  );
}
