import { parsePowers, powers, type Power } from "./powers.ts";
import { isTruthy } from "./truthy.ts";

/** The default values of the device's config variables. Their names are those of the reference implementation. */
const defaults = {
  SUPERVISOR_POLL_INTERVAL: "900000",
  SUPERVISOR_INSTANT_UPDATE_TRIGGER: "true",
  SUPERVISOR_LOCAL_MODE: "false",
  SUPERVISOR_CONNECTIVITY_CHECK: "true",
  SUPERVISOR_LOG_CONTROL: "true",
  SUPERVISOR_API_REQUEST_TIMEOUT: "59000",
  SUPERVISOR_DELTA: "false",
  SUPERVISOR_DELTA_REQUEST_TIMEOUT: "59000",
  SUPERVISOR_DELTA_APPLY_TIMEOUT: "0",
  SUPERVISOR_DELTA_RETRY_COUNT: "30",
  SUPERVISOR_DELTA_RETRY_INTERVAL: "10000",
  SUPERVISOR_DELTA_VERSION: "2",
  SUPERVISOR_OVERRIDE_LOCK: "false",
  SUPERVISOR_PERSISTENT_LOGGING: "false",
  HOST_FIREWALL_MODE: "",
  HOST_DISCOVERABILITY: "true",
  SUPERVISOR_HARDWARE_METRICS: "true",
  SUPERVISOR_VPN_CONTROL: "true",
} as const;

type Config = Readonly<Record<string, string>>;
type ConfigName = keyof typeof defaults;

/** Variables without the prefixes of the cloud (`RESIN_`, `BALENA_`); `OVERRIDE_LOCK` is an older name. */
export const bareConfig = (config: Config): Record<string, string> =>
  Object.fromEntries(
    Object.entries(config).map(([name, value]) => {
      const bare = name.replace(/^(RESIN|BALENA)_/, "");
      return [bare === "OVERRIDE_LOCK" ? "SUPERVISOR_OVERRIDE_LOCK" : bare, value];
    }),
  );

/** Every variable with its value or its default. */
export const fullConfig = (config: Config): Record<string, string> => ({ ...defaults, ...config });

/** `SUPERVISOR_SAFE_UPDATES` is a Fairlead variable: updates in local mode are judged, too. Off by default. */
export const isOn = (config: Config, name: ConfigName | "SUPERVISOR_SAFE_UPDATES"): boolean =>
  isTruthy(config[name] ?? (name === "SUPERVISOR_SAFE_UPDATES" ? "off" : defaults[name]));

/** The possible scopes of an application's key: the whole device, as in the specification, or only the application. */
const apiScopes = ["device", "application"] as const;

/** Parses `SUPERVISOR_API_SCOPE`, a Fairlead variable; undefined for an unknown value. */
const parseApiScope = (text: string) => apiScopes.find((one) => one === text.trim().toLowerCase());

export const apiScopeOf = ({ SUPERVISOR_API_SCOPE = "" }: Config): (typeof apiScopes)[number] =>
  parseApiScope(SUPERVISOR_API_SCOPE) ?? "device";

/** Parses `SUPERVISOR_FORBIDDEN_POWERS`, a Fairlead variable. A release with a service that asks for one is rejected. */
export const forbiddenPowersOf = ({ SUPERVISOR_FORBIDDEN_POWERS = "" }: Config): readonly Power[] =>
  parsePowers(SUPERVISOR_FORBIDDEN_POWERS).known;

/** Warnings about invalid values in a config with bare names, by the variable's name. */
export function configWarnings({
  SUPERVISOR_API_SCOPE: scope = "",
  SUPERVISOR_FORBIDDEN_POWERS: forbidden = "",
}: Config): Readonly<Record<string, string>> {
  const { unknown } = parsePowers(forbidden);
  return {
    ...(scope !== "" &&
      !parseApiScope(scope) && {
        SUPERVISOR_API_SCOPE: `expected ${apiScopes.join(" or ")}, but got ${JSON.stringify(scope)}; taken as device`,
      }),
    ...(unknown.length > 0 && {
      SUPERVISOR_FORBIDDEN_POWERS: `expected ${powers.join(", ")}, but got ${unknown.join(", ")}, left out`,
    }),
  };
}

/** A variable's value as a number; the default if the value is not a number. */
export function numberOf(config: Config, name: ConfigName): number {
  const value = Number(config[name]);
  return config[name] && Number.isFinite(value) && value >= 0 ? value : Number(defaults[name]);
}
