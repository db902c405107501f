import { expect } from "vitest";
import { refuse } from "../../core/api/refusal.ts";

/** An intended difference between our answer and the recorded one. */
interface Deviation {
  /** Our status if it differs. */
  readonly status?: number;
  /** Our content type if it is not the usual one of the body. */
  readonly type?: string;
  /** Text or JSON, as the client sees it. */
  readonly body: string | object;
  readonly because: string;
}

/** By scenario (the recording's file) and entry. The second entry with the same name ends in " (2)". */
export type Deviations = Readonly<Record<string, Readonly<Record<string, Deviation>>>>;

const failed = (message: unknown) => ({ status: "failed", message });

// ── Reasons that are used repeatedly ─────────────────────────────────────────────────────────────────────────────────

const emptyBody: Deviation = {
  body: "",
  because: "the specification: an empty 200 response",
};

const appNotFound = "App not found: an app needs to be installed for this endpoint to work.";
const unknownAppV1: Deviation = {
  status: 400,
  body: appNotFound,
  because: "the original stumbles over itself; what it meant to say of an unknown application is 400 on v1",
};
const unknownAppV2: Deviation = {
  status: 404,
  body: appNotFound,
  because: "the original stumbles over itself; what it meant to say of an unknown application is 404 on v2",
};

const noKey: Deviation = {
  body: failed("Expected the key to replace, as ?apikey= or in the Authorization header"),
  because: "an empty message helps nobody",
};

const callersFault = (message: string): Deviation => ({
  status: 400,
  body: failed(message),
  because: "a body that cannot be read is the caller's fault: 400, not 503",
});
const badJson = callersFault("Malformed JSON: Expected property name or '}' in JSON at position 1 (line 1 column 2)");
const cutJson = callersFault("Malformed JSON: Unexpected end of JSON input at position 9");
const number = callersFault("Malformed JSON: expected an object, but got 5");

const unsupported = (message: string): Deviation => ({
  status: 415,
  body: failed(message),
  because: "HTTP has a status of its own for this",
});
const badCharset = unsupported('unsupported charset "FOO", expected UTF-8');
const badEncoding = unsupported('unsupported content encoding "foo", expected gzip, deflate or none');

const noArrayId = (body: string): Deviation => ({
  status: 400,
  body,
  because: "that a list of one number counts as a number is an accident of the original's language",
});

/** `GET /v2/local/target-state`; the specification has `dependent`. */
const targetState = (
  { name, config, apps }: { name: string; config: Record<string, string>; apps: object },
  because = "the specification: dependent stands beside local; HOST_FIREWALL_MODE has its default, as there is no firewall to read it from",
): Deviation => ({
  body: {
    status: "success",
    state: { local: { name, config: { ...defaults, ...config }, apps }, dependent: { apps: [], devices: [] } },
  },
  because,
});
const inThePostedForm = "it can be posted back unchanged: applications have the form in which they were posted";
/** The default config in a device's answers. */
export const defaults = {
  SUPERVISOR_POLL_INTERVAL: "900000",
  SUPERVISOR_INSTANT_UPDATE_TRIGGER: "true",
  SUPERVISOR_LOCAL_MODE: "true",
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
};

/** The services in the recorded request bodies: `{ "1": { … } }`. */
export const recordedService = (name: string, id: number, environment: Record<string, string> = {}) => ({
  [id]: {
    environment,
    labels: {},
    imageId: id,
    serviceName: name,
    serviceId: id,
    image: `local_image_${name}:latest`,
    running: true,
  },
});
/** The applications in the recorded request bodies: `{ "1": { … } }`. */
export const recordedApp = (commit: string, services: object, more: object = {}) => ({
  "1": { name: "localapp", commit, releaseId: "1", services, volumes: {}, networks: {}, ...more },
});

const singleTarget = targetState(
  {
    name: "my-device",
    config: { SUPERVISOR_LOCAL_MODE: "1" },
    apps: recordedApp("localcommit", recordedService("one", 1, { FOO: "bar" })),
  },
  inThePostedForm,
);

/** `GET /v1/device` during an update. */
const pending = (more: object) => ({
  api_port: 48484,
  ip_address: "192.168.7.10",
  mac_address: "02:42:C0:A8:07:0A A6:43:F2:23:9A:68",
  os_version: "balenaOS 4.0.11+rev1",
  supervisor_version: "19.0.5",
  update_pending: true,
  update_failed: false,
  ...more,
});

const applicationState = (status: string): Deviation => ({
  body: {
    commit: "localcommit",
    local: { "1": { services: { "1": { status, releaseId: 1, download_progress: null } } } },
    dependent: {},
  },
  because: "the specification: dependent stands beside local",
});

// ── Target states ────────────────────────────────────────────────────────────────────────────────────────────────────

const fault = (...lines: string[]) => failed(["Invalid target state.", ...lines].join("\n"));

/** Refused by both. */
const elsewhere = (line: string): Deviation => ({
  body: fault(line),
  because: "the path is one in the body that was posted; the original gives one in a form of its own",
});
const refused = (line: string, because: string): Deviation => ({ status: 400, body: fault(line), because });
const warned = (...warnings: string[]): Deviation => ({
  body: { status: "success", message: "OK", warnings },
  because: "what is left out or taken otherwise is said where the developer looks",
});

const dies = "the original dies of it";
const removesAll = "only an empty apps removes every application; the original takes this for one";
const noGarbage = "a value that means nothing is no target state; the original finds out later, or never";

const one = { status: "Running", image: "local_image_one:latest", downloadProgress: null, releaseId: 1 };
const appsState = (commit: string, because: string): Deviation => ({
  status: 200,
  body: { localapp: { appId: 1, appUuid: "1", commit, updateStatus: "done", services: { one } } },
  because,
});
const withoutUndefined = "a service without a name, which the original calls undefined, was refused";

const stillThere = (container: string): Deviation => ({
  body: [{ id: expect.any(String), name: container, image: expect.any(String), state: "running" }],
  because: "a target state that was refused changes nothing",
});

// ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────────

export const deviations: Deviations = {
  "unmanaged-no-app": {
    healthy: emptyBody,
    blink: emptyBody,
    "v2 local target-state": targetState({ name: "local", config: {}, apps: {} }),
    "v2 device tags": {
      status: 200,
      body: { status: "success", tags: [] },
      because: "tags are kept on the device, so no cloud is needed to read them",
    },
    "regenerate-api-key without key (no auth needed in local mode)": noKey,
    "regenerate-api-key with unknown key": noKey,
    "v1 stop no app": unknownAppV1,
    "v1 start no app": unknownAppV1,
    "v1 start no body at all": unknownAppV1,
    "v1 stop no body at all": unknownAppV1,
    "v2 restart-service no app": unknownAppV2,
    "v2 stop-service no app": unknownAppV2,
    "v2 start-service no app": unknownAppV2,
    "tags patch null (json strict)": callersFault("Malformed JSON: expected an object, but got null"),
    "tags patch array": {
      status: 400,
      body: failed("Invalid tags body, must be an object like `{[tagKey: string]: string}`"),
      because: "a list has no names for tags",
    },
  },

  "unmanaged-bad-input-no-app": {
    "GET /v3/x": {
      ...refuse("unknown-endpoint", "There is no GET /v3/x"),
      type: "application/problem+json; charset=utf-8",
      because: "v3 is ours, and its errors are problem details",
    },
    "HEAD /v1/healthy": emptyBody,
    "GET /v1/apps/%zz": {
      status: 400,
      body: failed("Failed to decode param, expected valid %-encoding: %zz"),
      because: "a path that cannot be decoded is the caller's fault",
    },
    "/v1/restart appId array": noArrayId("Missing app id"),
    "/v1/restart malformed json": cutJson,
    "/v1/restart json primitive": number,
    "/v1/restart bad charset": badCharset,
    "/v1/restart bad content-encoding": badEncoding,
    "/v1/purge appId array": noArrayId("Invalid or missing appId"),
    "/v1/purge malformed json": cutJson,
    "/v1/purge json primitive": number,
    "/v1/purge bad charset": badCharset,
    "/v1/purge bad content-encoding": badEncoding,
    "POST /v1/apps/0/start": unknownAppV1,
    "POST /v1/apps/-1/stop": unknownAppV1,
    "POST /v2/applications/-1/start-service": unknownAppV2,
    "POST /v2/applications/4242/restart-service": unknownAppV2,
    "malformed json /v2/applications/1/restart-service": badJson,
    "malformed json /v2/local/target-state": badJson,
    "malformed json /v2/journal-logs": badJson,
    "malformed json /v1/update": badJson,
    "malformed json /v1/blink": emptyBody,
    "malformed json /v1/regenerate-api-key": noKey,
    "malformed json /v1/apps/1/stop": badJson,
    "malformed json /nope": {
      status: 404,
      body: "Cannot POST /nope",
      because: "what is not there does not read bodies",
    },
    "malformed json GET with body": {
      status: 200,
      body: { status: "success", version: "19.0.5" },
      because: "a GET has no body to look at",
    },
    "malformed json PATCH host-config": badJson,
    "malformed json PATCH tags": badJson,
    "body too large (11MB)": {
      status: 413,
      body: failed("request entity too large, expected at most 65536 bytes"),
      because: "HTTP has a status of its own for this, and only a target state need be so large",
    },
  },

  "unmanaged-single-container": {
    healthy: emptyBody,
    "healthy (2)": emptyBody,
    "v1 device right after": {
      body: pending({
        update_downloaded: true,
        status: expect.stringMatching(/^(Downloaded|Installing|Starting)$/),
        download_progress: null,
      }),
      because: "the specification: update_downloaded tells that what is pending is here already, and its image is",
    },
    "v2 application 1 state": applicationState("Running"),
    "v2 application 1 state (2)": applicationState("exited"),
    "v2 local target-state": singleTarget,
    "v2 local target-state (2)": singleTarget,
    "after v2 stop": {
      body: [{ id: expect.any(String), name: "one_1_1_localcommit", image: expect.any(String), state: "exited" }],
      because: "a stop answers when the service has stopped, not before",
    },
    "v2 restart-service unknown app": unknownAppV2,
    "v1 stop unknown app": unknownAppV1,
    "v1 start unknown app": unknownAppV1,
  },

  "unmanaged-vpn-name": {
    "vpn after VPN_CONTROL=false": {
      body: { status: "success", vpn: { enabled: false, connected: false } },
      because: "an accepted target state holds at once; the original was still applying it",
    },
    "target-state": targetState(
      {
        name: "new-name",
        config: { SUPERVISOR_LOCAL_MODE: "1", SUPERVISOR_VPN_CONTROL: "false" },
        apps: recordedApp("rb", { ...recordedService("one", 1), ...recordedService("two", 2) }),
      },
      inThePostedForm,
    ),
  },

  "unmanaged-target-state-invalid": {
    "no body": refused("local: expected an object, but got nothing", removesAll),
    "empty object": refused("local: expected an object, but got nothing", removesAll),
    "GET target-state after {} ": targetState(
      {
        name: "my-device",
        config: { SUPERVISOR_LOCAL_MODE: "1" },
        apps: recordedApp("base", recordedService("one", 1)),
      },
      "the old target state stands, in the form in which it was posted",
    ),
    "apps after {}": appsState("base", "the old target state stands"),
    "containers after {} (an empty body is a valid, empty target!)": stillThere("one_1_1_base"),
    "null local": refused("local: expected an object, but got null", removesAll),
    "containers after null local": stillThere("one_1_1_base"),
    "local string": refused('local: expected an object, but got "x"', removesAll),
    "local array": refused("local: expected an object, but got []", removesAll),
    "apps missing": refused(
      'local.apps: expected an object of applications; to remove all of them send "apps": {}, but got nothing',
      removesAll,
    ),
    "containers after apps missing": stillThere("one_1_1_base"),
    "name number": elsewhere("local.name: expected a string, but got 5"),
    "name too long": elsewhere(`local.name: expected at most 255 characters, but got "${"n".repeat(78)}…`),
    "name with newline": elsewhere('local.name: expected a name without line breaks, but got "a\\nb"'),
    "config number value": elsewhere("local.config.SUPERVISOR_POLL_INTERVAL: expected a string, but got 600000"),
    "config bool value": elsewhere("local.config.SUPERVISOR_DELTA: expected a string, but got true"),
    "config null value": elsewhere("local.config.SUPERVISOR_DELTA: expected a string, but got null"),
    "config bad key": elsewhere(
      'local.config.bad key: expected a config variable name: a letter, then letters, digits, _ and :, but got "bad key"',
    ),
    "config array": elsewhere("local.config: expected an object, but got []"),
    "apps null": refused(
      'local.apps: expected an object of applications; to remove all of them send "apps": {}, but got null',
      removesAll,
    ),
    "apps array": refused(
      'local.apps: expected an object of applications; to remove all of them send "apps": {}, but got []',
      removesAll,
    ),
    "apps string": elsewhere(
      'local.apps: expected an object of applications; to remove all of them send "apps": {}, but got "x"',
    ),
    "app null": refused("local.apps.1: expected an object, but got null", dies),
    "app string": elsewhere('local.apps.1: expected an object, but got "x"'),
    "app id non-numeric": refused('local.apps.abc: expected an id (digits) as key, but got "abc"', dies),
    "app id negative": elsewhere('local.apps.-1: expected an id (digits) as key, but got "-1"'),
    "app name missing": elsewhere("local.apps.1.name: expected a string, but got nothing"),
    "releaseId missing": elsewhere("local.apps.1.releaseId: expected a whole number of 0 or more, but got nothing"),
    "releaseId abc": elsewhere('local.apps.1.releaseId: expected a whole number of 0 or more, but got "abc"'),
    "service null": refused("local.apps.1.services.1: expected an object, but got null", dies),
    "service key non-numeric": elsewhere('local.apps.1.services.abc: expected an id (digits) as key, but got "abc"'),
    "volumes array": elsewhere("local.apps.1.volumes: expected an object, but got []"),
    "volume bad name": elsewhere(
      'local.apps.1.volumes.bad name!: expected a name: a letter or digit, then letters, digits, _, . and -, but got "bad name!"',
    ),
    "volume null": elsewhere("local.apps.1.volumes.v: expected an object, but got null"),
    "network null": elsewhere("local.apps.1.networks.n: expected an object, but got null"),
    "network bad name": elsewhere(
      'local.apps.1.networks.bad name!: expected a name: a letter or digit, then letters, digits, _, . and -, but got "bad name!"',
    ),
    "service image missing": elsewhere("local.apps.1.services.1.image: expected a string, but got nothing"),
    "service image empty": elsewhere(
      'local.apps.1.services.1.image: expected an image such as "registry/name:tag", but got ""',
    ),
    "service image number": elsewhere("local.apps.1.services.1.image: expected a string, but got 5"),
    "service serviceName missing": refused(
      "local.apps.1.services.1.serviceName: expected a string, but got nothing",
      "the original makes a service called undefined",
    ),
    "serviceName bad chars": elsewhere(
      'local.apps.1.services.1.serviceName: expected a name: a letter or digit, then letters, digits, _, . and -, but got "bad name!"',
    ),
    "serviceName leading dash": elsewhere(
      'local.apps.1.services.1.serviceName: expected a name: a letter or digit, then letters, digits, _, . and -, but got "-a"',
    ),
    "imageId missing": elsewhere(
      "local.apps.1.services.1.imageId: expected a whole number of 0 or more, but got nothing",
    ),
    "imageId abc": elsewhere('local.apps.1.services.1.imageId: expected a whole number of 0 or more, but got "abc"'),
    "environment missing": elsewhere("local.apps.1.services.1.environment: expected an object"),
    "environment null": elsewhere("local.apps.1.services.1.environment: expected an object"),
    "env value number": elsewhere("local.apps.1.services.1.environment.A: expected a string"),
    "env value null": elsewhere("local.apps.1.services.1.environment.A: expected a string"),
    "env value bool": elsewhere("local.apps.1.services.1.environment.A: expected a string"),
    "env bad key": elsewhere(
      'local.apps.1.services.1.environment.A B: expected a variable name: a letter or _, then letters, digits and _, but got "A B"',
    ),
    "env key starting with digit": elsewhere(
      'local.apps.1.services.1.environment.1A: expected a variable name: a letter or _, then letters, digits and _, but got "1A"',
    ),
    "env key with dash": elsewhere(
      'local.apps.1.services.1.environment.A-B: expected a variable name: a letter or _, then letters, digits and _, but got "A-B"',
    ),
    "env key empty": elsewhere(
      'local.apps.1.services.1.environment.: expected a variable name: a letter or _, then letters, digits and _, but got ""',
    ),
    "labels missing": elsewhere("local.apps.1.services.1.labels: expected an object, but got nothing"),
    "label value number": elsewhere("local.apps.1.services.1.labels.a: expected a string, but got 1"),
    "label value bool": elsewhere("local.apps.1.services.1.labels.a: expected a string, but got true"),
    "label key with space": elsewhere(
      'local.apps.1.services.1.labels.a b: expected a label name without spaces and quotes, but got "a b"',
    ),
    "running string": elsewhere('local.apps.1.services.1.running: expected true or false, but got "yes"'),
    "contract unmet": warned(
      'the release is rejected: one: this device does not meet {"type":"sw.supervisor","version":">=99.0.0"}',
    ),
    "contract null": elsewhere("local.apps.1.services.1.contract: expected an object, but got null"),
    "state while image is missing": {
      body: {
        status: "success",
        appState: "applying",
        overallDownloadProgress: 0,
        containers: [
          {
            status: "Running",
            serviceName: "one",
            appId: 1,
            imageId: 1,
            serviceId: 1,
            containerId: expect.any(String),
            createdAt: expect.any(String),
          },
        ],
        images: [
          {
            name: "no_such_image:latest",
            appId: 1,
            serviceName: "one",
            imageId: 1,
            status: "Downloading",
            downloadProgress: 0,
          },
          {
            name: "local_image_one:latest",
            appId: 1,
            serviceName: "one",
            imageId: 1,
            dockerImageId: expect.any(String),
            status: "Downloaded",
            downloadProgress: null,
          },
        ],
        release: "x",
      },
      because: "each image once; and services two and three were never here",
    },
    "apps while image is missing": {
      body: {
        localapp: {
          appId: 1,
          appUuid: "1",
          commit: "x",
          updateStatus: "downloading",
          services: { one: { ...one, image: "no_such_image:latest", downloadProgress: 0 } },
        },
      },
      because: withoutUndefined,
    },
    "v1 device while image is missing": {
      body: pending({ update_downloaded: false, status: "Downloading", download_progress: 0 }),
      because:
        "the specification: status tells that an update is being downloaded, and download_progress how much of it",
    },
    "healthy while image missing": emptyBody,
    "depends_on unknown service": warned(
      'local.apps.1.services.1.depends_on: there is no service "nope" in this application, left out',
    ),
    apps: appsState("x", `${withoutUndefined}; and the update is done by now`),
    "bad restart value": warned(
      'local.apps.1.services.1.restart: "banana" is none of no, always, on-failure[:N], unless-stopped; taken as always',
    ),
    "network_mode to unknown service": refused(
      'local.apps.1.services: one wants to live in service "nope", which is not another service of this application',
      noGarbage,
    ),
    "apps (2)": appsState("x", `${withoutUndefined}; and the old target state stands`),
    "unknown composition key": warned("local.apps.1.services.1.banana: not supported, left out"),
    "ports invalid": refused(
      'local.apps.1.services.1.ports[0]: expected a port such as "80", "8080:80", "127.0.0.1:8080-8081:80-81/udp", but got "abc"',
      "the original accepts it, and then fails to tell the state until it is replaced",
    ),
    "apps (3)": appsState("x", "ports that mean nothing were refused, so they do not break this"),
    "privileged string": refused(
      'local.apps.1.services.1.privileged: expected true or false, but got "yes"',
      noGarbage,
    ),
    "volumes undefined name": warned(
      'local.apps.1.volumes: "undefinedvol" is used but not defined; made with default settings',
    ),
    "apps (4)": appsState("x", `${withoutUndefined}; and the update is done by now`),
    "host bind mount": warned(
      "local.apps.1.services.1.volumes: host folders are not mounted (/etc), left out; use a volume or a feature label",
    ),
    "v3 style body (uuid keyed)": refused("local: expected an object, but got nothing", removesAll),
    "array body": {
      status: 400,
      body: failed(expect.stringMatching(/^Invalid target state\.\nexpected a JSON object .*(?<!application\/json)$/)),
      because: removesAll,
    },
    "text/plain body": refused(
      'expected a JSON object { "local": { "apps": { … } } } with Content-Type application/json, but got text/plain',
      removesAll,
    ),
    "dup app two services same name": refused(
      'local.apps.1.services.2: expected each service once, but "one" is there twice',
      "the original drops one of them without a word",
    ),
    "containers after dup name": stillThere("one_1_1_x"),
  },

  "unmanaged-local-logs-stream": {
    "local logs 9s during restart-service + purge": {
      body: {
        "the agent": [
          "Streaming logs",
          "Purging data for app 1",
          "Taking update locks",
          "Removing volume 'data'",
          "Releasing update locks",
          "Creating volume 'data'",
          "Purged data",
        ],
        "about one": [
          "Killing service 'one <image>': a restart was asked for",
          "Service exited 'one <image>'",
          "Killed service 'one <image>'",
          "Installing service 'one <image>'",
          "Installed service 'one <image>'",
          "Starting service 'one <image>'",
          "Started service 'one <image>'",
          "Killing service 'one <image>': the application is purged",
          "Service exited 'one <image>'",
          "Killed service 'one <image>'",
          "Installing service 'one <image>'",
          "Installed service 'one <image>'",
          "Starting service 'one <image>'",
          "Started service 'one <image>'",
        ],
        ...Object.fromEntries(
          ["two", "three"].map((name) => [
            `about ${name}`,
            [
              `Killing service '${name} <image>': the application is purged`,
              `Service exited '${name} <image>'`,
              `Killed service '${name} <image>'`,
              `Installing service '${name} <image>'`,
              `Installed service '${name} <image>'`,
              `Starting service '${name} <image>'`,
              `Started service '${name} <image>'`,
            ],
          ]),
        ),
        one: ["1 hello from one\r", "1 hello from one\r", "1 hello from one\r"],
        two: ["2 hello from two\r"],
        three: ["3 hello from three\r"],
      },
      because:
        "why a service is killed is said; one service is restarted without a word on its locks; a purge leaves the networks, " +
        "and needs no locks on its way up; nothing catches the stop signal in an engine where nothing really runs",
    },
  },

  "managed-auth": {
    "no key healthy": emptyBody,
    "malformed json with right key": badJson,
  },

  "managed-no-app": {
    "global: GET /v1/healthy": emptyBody,
    "global: GET /v2/local/target-state": targetState({
      name: "cloud-name",
      config: { SUPERVISOR_LOCAL_MODE: "false" },
      apps: {},
    }),
    "global: POST /v1/blink": emptyBody,
    "global: POST /v1/apps/1001/stop": unknownAppV1,
    "global: POST /v1/apps/1001/start": unknownAppV1,
    "global: POST /v2/applications/1001/restart-service": unknownAppV2,
    "global: POST /v2/applications/1001/stop-service": unknownAppV2,
    "global: POST /v2/applications/1001/start-service": unknownAppV2,
  },

  "http-headers": {
    "POST /v1/blink": emptyBody,
    "gzip accept": targetState(
      {
        name: "my-device",
        config: { SUPERVISOR_LOCAL_MODE: "1" },
        apps: recordedApp(
          "bench7",
          {
            ...recordedService("one", 1, { FOO: "bar" }),
            ...recordedService("two", 2, { V: "5" }),
            ...recordedService("three", 3),
          },
          { releaseId: 10 },
        ),
      },
      inThePostedForm,
    ),
  },
};
