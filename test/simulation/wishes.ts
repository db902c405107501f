import type { Chance } from "./clock.ts";

/** An arbitrary target state, before it takes the shape of a version. */
export interface Wish {
  readonly commit: string;
  readonly apps: readonly WishedApp[];
}

interface WishedApp {
  readonly appId: number;
  readonly services: readonly WishedService[];
  readonly networks: Readonly<Record<string, object>>;
  readonly volumes: Readonly<Record<string, object>>;
}

interface WishedService {
  readonly name: string;
  readonly image: string;
  readonly running: boolean;
  readonly environment: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly composition: Readonly<Record<string, unknown>>;
}

/** What no log line may have; it is in the variables and the secret of every service. */
export const secret = "correct horse";

const strategies = ["download-then-kill", "kill-then-download", "delete-then-download", "hand-over"] as const;

const definitions: readonly [() => object, ...((chance: Chance) => object)[]] = [
  () => ({}),
  (chance) => ({ labels: { v: String(chance.below(2)) } }),
  (chance) => ({ ipam: { config: [{ subnet: `198.18.${chance.below(2)}.0/24` }] } }),
  () => ({ enable_ipv6: true, ipam: { config: [{ subnet: "2001:db8::/64" }] } }),
  (chance) => ({ driver_opts: { mtu: 1400 + chance.below(2) } }),
];

/** Anything that an application may be: what matters is how one follows on another. */
export function anyWish(chance: Chance, { words = false } = {}): Wish {
  return {
    commit: `c${chance.below(4)}`,
    apps: chance.some([1, 2], 0.7).map((appId) => anyApp(appId, chance, words)),
  };
}

function anyApp(appId: number, chance: Chance, words: boolean): WishedApp {
  const names = chance.some(["job", "a", "b", "c"], 0.6);
  const networks = chance.happens(0.3) ? { back: chance.pick(definitions)(chance) } : {};
  const volumes = chance.happens(words ? 0.8 : 0.4)
    ? { data: chance.happens(0.5) ? {} : { labels: { v: String(chance.below(2)) } } }
    : {};
  if (words && "data" in volumes && chance.happens(0.8))
    Object.assign(volumes, { data: { labels: { "io.balena.update.snapshot": "true" } } });
  const services = names.map((name, n) => anyService(name, names.slice(0, n), { appId, networks, volumes }, chance));
  return {
    appId,
    networks,
    volumes,
    services: words ? withWords(services, chance) : services,
  };
}

/** Says how the application is updated, on its first service, and what each service must show. */
function withWords(services: readonly WishedService[], chance: Chance): readonly WishedService[] {
  const rules: Readonly<Record<string, string>> = {
    ...(chance.happens(0.2) && { "failure-action": chance.pick(["rollback", "pause", "continue"]) }),
    ...(chance.happens(0.5) && { deadline: chance.pick(["45s", "2m"]) }),
    ...(chance.happens(0.25) && {
      apply: chance.pick(["now", "consent", "idle=20s", "window", "window", "idle=5s, consent"]),
      // Simulations begin at midnight.
      window: chance.pick(["00:00-23:59", "00:04-23:59"]),
      ...(chance.happens(0.5) && { "apply-by": "10m" }),
    }),
    ...(chance.happens(0.1) && { "on-disk-short": "delete-then-download" }),
  };
  return services.map((service, n) => ({
    ...service,
    labels: { ...service.labels, ...anyGates(chance), ...(n === 0 && labelled(rules)) },
  }));
}

function anyGates(chance: Chance): Readonly<Record<string, string>> {
  return labelled({
    ...(chance.happens(0.2) && { monitor: chance.pick(["0s", "5s", "20s"]) }),
    ...(chance.happens(0.08) && { http: "80/health" }),
    ...(chance.happens(0.04) && { confirm: "true" }),
  });
}

const labelled = (words: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(words).map(([name, value]) => [`io.balena.update.${name}`, value]));

function anyService(
  name: string,
  earlier: readonly string[],
  { appId, networks, volumes }: { appId: number; networks: object; volumes: object },
  chance: Chance,
): WishedService {
  const [first, ...rest] = earlier.filter((one) => one !== "job");
  const dependencies = chance.some(earlier, 0.4);
  const home = first && name !== "job" && chance.happens(0.15) ? chance.pick([first, ...rest]) : undefined;
  const running = name === "job" || chance.happens(0.9);
  return {
    name,
    image: `${name}:v${1 + chance.below(3)}`,
    running,
    environment: { WIFI_PSK: `${secret} ${chance.below(2)}` },
    labels: {
      ...(chance.happens(0.5) && { "io.balena.update.strategy": chance.pick(strategies) }),
      ...(chance.happens(0.5) && { "io.balena.update.handover-timeout": "5000" }),
      ...(chance.happens(0.2) && { "io.balena.features.supervisor-api": "1" }),
    },
    composition: {
      secrets: [name],
      ...(name === "job" && { restart: "no" }),
      ...(chance.happens(0.3) && { healthcheck: { test: ["CMD", "true"] } }),
      ...(dependencies.length > 0 && {
        depends_on: Object.fromEntries(
          dependencies.map((one) => [
            one,
            {
              condition:
                one === "job" ? "service_completed_successfully" : chance.pick(["service_started", "service_healthy"]),
            },
          ]),
        ),
      }),
      ...(home && { network_mode: `service:${home}` }),
      ...(!home && "back" in networks && chance.happens(0.5) && { networks: ["back"] }),
      ...("data" in volumes && chance.happens(0.5) && { volumes: ["data:/data"] }),
      ...(!home &&
        chance.happens(0.2) && { ports: [`${8000 * appId + 10 * name.charCodeAt(0) + chance.below(2)}:80`] }),
    },
  };
}

const imageId = ({ image }: WishedService): number => Number(image.replace(/\D/g, ""));
const serviceId = ({ name }: WishedService): number => ["job", "a", "b", "c"].indexOf(name) + 1;

/** `isSafe`: releases are committed, although the device has no cloud. */
export const toLocalBody = ({ commit, apps }: Wish, isSafe = false): object => ({
  local: {
    name: "device",
    config: isSafe ? { SUPERVISOR_SAFE_UPDATES: "on" } : {},
    apps: Object.fromEntries(
      apps.map(({ appId, services, networks, volumes }) => [
        String(appId),
        {
          name: `app${appId}`,
          commit,
          releaseId: appId,
          networks,
          volumes,
          secrets: secretsOf(services),
          services: Object.fromEntries(
            services.map((service) => [
              String(serviceId(service)),
              {
                ...service.composition,
                serviceName: service.name,
                imageId: imageId(service),
                image: service.image,
                running: service.running,
                environment: service.environment,
                labels: service.labels,
              },
            ]),
          ),
        },
      ]),
    ),
  },
});

/** A secret for each service. It changes with the environment of another one, too. */
const secretsOf = (services: readonly WishedService[]): object =>
  Object.fromEntries(
    services.map(({ name }, n) => [name, { content: JSON.stringify(services.slice(n).map((one) => one.environment)) }]),
  );

export const toCloudBody = ({ commit, apps }: Wish, uuid: string): object => ({
  [uuid]: {
    name: "device",
    config: {},
    apps: Object.fromEntries(
      apps.map(({ appId, services, networks, volumes }) => [
        `fleet${appId}`,
        {
          id: appId,
          name: `app${appId}`,
          is_host: false,
          class: "fleet",
          releases: {
            [commit]: {
              id: appId,
              networks,
              volumes,
              secrets: secretsOf(services),
              services: Object.fromEntries(
                services.map((service) => [
                  service.name,
                  {
                    id: serviceId(service),
                    image_id: imageId(service),
                    image: service.image,
                    running: service.running,
                    environment: service.environment,
                    labels: service.labels,
                    composition: service.composition,
                  },
                ]),
              ),
            },
          },
        },
      ]),
    ),
  },
});
