import { writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { describe, expect, test } from "vitest";
import { SettingsError, readSettings, settingOptions, withServiceEnvironment } from "../../runtimes/node/settings.ts";
import { isRoot, temporaryFolder } from "./temporary-folder.ts";

const given = (args: readonly string[], environment: Record<string, string> = {}) => readSettings(args, environment);

function complaint(args: readonly string[], environment: Record<string, string> = {}): string {
  try {
    readSettings(args, environment);
  } catch (error) {
    if (error instanceof SettingsError) return error.message;
    throw error;
  }
  throw new Error("It was accepted");
}

test("by default, the agent listens on port 48484 and needs Docker", () => {
  expect(given([])).toEqual({
    port: 48484,
    listen: [],
    allowOrigins: [],
    allowHosts: [],
    engine: "docker",
    exec: true,
    logFormat: "text",
    stateDir: expect.stringMatching(/fairlead$/),
    hostRoot: "/",
    config: {},
    configFile: undefined,
    ledFile: undefined,
    ledGpio: undefined,
    busAddress: undefined,
    dockerHost: undefined,
  });
});

/** Flag, variable, given value, parsed value. */
const table = [
  ["port", "FAIRLEAD_PORT", "8080", { port: 8080 }],
  ["port", "FAIRLEAD_PORT", "0", { port: 0 }],
  ["listen", "FAIRLEAD_LISTEN", "0.0.0.0", { listen: ["0.0.0.0"] }],
  ["listen", "FAIRLEAD_LISTEN", "10.0.0.1, ::1 ,", { listen: ["10.0.0.1", "::1"] }],
  ["allow-origin", "FAIRLEAD_ALLOW_ORIGIN", "http://Panel.lan:8080", { allowOrigins: ["http://panel.lan:8080"] }],
  ["allow-origin", "FAIRLEAD_ALLOW_ORIGIN", "http://a:80, https://b,", { allowOrigins: ["http://a", "https://b"] }],
  ["allow-host", "FAIRLEAD_ALLOW_HOST", "Device.example.com", { allowHosts: ["device.example.com"] }],
  ["allow-host", "FAIRLEAD_ALLOW_HOST", "a.example, b.example.", { allowHosts: ["a.example", "b.example"] }],
  ["engine", "FAIRLEAD_ENGINE", "embedded", { engine: "embedded" }],
  ["engine", "FAIRLEAD_ENGINE", "docker", { engine: "docker" }],
  ["engine", "FAIRLEAD_ENGINE", "auto", { engine: "auto" }],
  ["log-format", "FAIRLEAD_LOG_FORMAT", "json", { logFormat: "json" }],
  ["state-dir", "FAIRLEAD_STATE_DIR", "/var/lib/x", { stateDir: "/var/lib/x" }],
  ["host-root", "FAIRLEAD_HOST_ROOT", "/mnt/root", { hostRoot: "/mnt/root" }],
  ["led-file", "LED_FILE", "/sys/class/leds/ACT/brightness", { ledFile: "/sys/class/leds/ACT/brightness" }],
  ["led-gpio", "LED_GPIO", "gpiochip0:17", { ledGpio: { chip: "gpiochip0", line: "17" } }],
  ["bus", "DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/bus", { busAddress: "unix:path=/run/bus" }],
  ["docker-host", "DOCKER_HOST", "unix:///run/balena.sock", { dockerHost: "unix:///run/balena.sock" }],
] as const;

describe.each(table)("--%s and %s: %j", (flag, variable, value, expected) => {
  test("mean the same", () => {
    expect(given([`--${flag}`, value])).toMatchObject(expected);
    expect(given([`--${flag}=${value}`])).toMatchObject(expected);
    expect(given([], { [variable]: value })).toMatchObject(expected);
  });

  test("the flag takes precedence", () => {
    const other =
      { port: "1", engine: "auto", "log-format": "text", "allow-origin": "http://other" }[flag as string] ?? "other";
    expect(given([`--${flag}`, value], { [variable]: other })).toMatchObject(expected);
  });

  test("an empty variable counts as unset", () => {
    expect(given([], { [variable]: "" })).toEqual(given([]));
  });

  test("are both in --help", () => {
    expect(settingOptions[flag]?.hint).toContain(`(${variable}; default: `);
  });
});

test("a relative folder is resolved from the agent's working directory, because the engine needs an absolute path", () => {
  expect(isAbsolute(given(["--host-root", "root"]).hostRoot)).toBe(true);
});

test("the default state folder follows the system's convention", () => {
  if (isRoot) expect(given([]).stateDir).toBe("/var/lib/fairlead");
  else {
    expect(given([], { XDG_STATE_HOME: "/x" }).stateDir).toBe("/x/fairlead");
    expect(given([]).stateDir).toBe(join(homedir(), ".local/state/fairlead"));
  }
});

describe("one sentence explains the error", () => {
  test.each<[readonly string[], string]>([
    [["--port", "abc"], '--port (or FAIRLEAD_PORT): expected a port, 0 to 65535, but got "abc"'],
    [["--port=-1"], '--port (or FAIRLEAD_PORT): expected a port, 0 to 65535, but got "-1"'],
    [["--port", "65536"], '--port (or FAIRLEAD_PORT): expected a port, 0 to 65535, but got "65536"'],
    [["--port", "1.5"], '--port (or FAIRLEAD_PORT): expected a port, 0 to 65535, but got "1.5"'],
    [["--engine", "podman"], '--engine (or FAIRLEAD_ENGINE): expected docker or embedded, but got "podman"'],
    ...["http://panel.lan/", "http://panel.lan/page", "http://a,*", "*", "null", "panel.lan", "http://*.lan"].map(
      (value): [string[], string] => [
        ["--allow-origin", value],
        `--allow-origin (or FAIRLEAD_ALLOW_ORIGIN): expected origins such as http://panel.lan:8080: without a path, and no *, but got ${JSON.stringify(value)}`,
      ],
    ),
    ...["*", "a.example,*.example", "a.example:80", "http://a.example", "a.example/x"].map(
      (value): [string[], string] => [
        ["--allow-host", value],
        `--allow-host (or FAIRLEAD_ALLOW_HOST): expected host names such as device.example.com: without a port, and no *, but got ${JSON.stringify(value)}`,
      ],
    ),
    [["--prot", "1"], 'There is no option --prot; did you mean "--port"?'],
    [["--colour", "1"], "There is no option --colour"],
    [["-p", "1"], "Unknown option '-p'"],
    [["--port"], "Option '--port <value>' argument missing"],
    [["x"], "Unexpected argument 'x'. This command does not take positional arguments"],
  ])("%j", (args, message) => {
    expect(complaint(args)).toBe(message);
  });

  test("in a variable", () => {
    expect(complaint([], { FAIRLEAD_PORT: "x" })).toBe(
      '--port (or FAIRLEAD_PORT): expected a port, 0 to 65535, but got "x"',
    );
  });

  test("in each wrong setting", () => {
    expect(complaint(["--port", "x", "--engine", "y"]).split("\n")).toEqual([
      '--port (or FAIRLEAD_PORT): expected a port, 0 to 65535, but got "x"',
      '--engine (or FAIRLEAD_ENGINE): expected docker or embedded, but got "y"',
    ]);
  });
});

describe("config.json", () => {
  async function configured(text: string) {
    const file = join(await temporaryFolder(), "config.json");
    await writeFile(file, text);
    return file;
  }

  test("gives the device's identity", async () => {
    const file = await configured(
      JSON.stringify({
        uuid: "0123456789abcdef0123456789abcdef",
        deviceType: "raspberrypi4-64",
        deviceArch: "aarch64",
        apiEndpoint: "https://api.example.com",
        deviceApiKey: "key",
        applicationId: 5,
        persistentLogging: true,
      }),
    );
    const expected = {
      uuid: "0123456789abcdef0123456789abcdef",
      deviceType: "raspberrypi4-64",
      deviceArch: "aarch64",
      apiEndpoint: "https://api.example.com",
      deviceApiKey: "key",
    };
    expect(given(["--config", file]).config).toMatchObject(expected);
    expect(given([], { FAIRLEAD_CONFIG: file }).config).toMatchObject(expected);
  });

  test("gives the settings for a registration, with ids as numbers or text", async () => {
    const provisioning = {
      apiEndpoint: "https://api.example.com",
      apiKey: "provisioning",
      initialDeviceName: "kitchen",
      applicationId: "5",
      userId: 2,
      appUpdatePollInterval: "900000",
    };
    const { config } = given(["--config", await configured(JSON.stringify(provisioning))]);
    expect(config).toEqual({ ...provisioning, applicationId: 5, appUpdatePollInterval: 900_000 });
  });

  test.each(["{}", '{"uuid":"' + "0".repeat(62) + '"}'])("may be %s", async (text) => {
    expect(given(["--config", await configured(text)]).config).toEqual(JSON.parse(text));
  });

  test.each<[string, RegExp]>([
    ["{", /^FILE is not JSON: .+/],
    ["", /^FILE is not JSON: .+/],
    ['{"uuid":"x"}', /^FILE: uuid: expected 32 or 62 lower case hex digits$/],
    ['{"uuid":"0123456789ABCDEF0123456789ABCDEF"}', /^FILE: uuid: expected 32 or 62 lower case hex digits$/],
    ['{"uuid":1}', /^FILE: uuid: .*expected a string.*/],
    ['{"deviceType":3}', /^FILE: deviceType: .*expected a string.*/],
    ['{"uuid":1,"apiEndpoint":2}', /^FILE: uuid: .*\nFILE: apiEndpoint: .*/],
    ['{"apiEndpoint":"api.example.com"}', /^FILE: apiEndpoint: expected the address of a cloud, such as https:.*$/],
    ['{"applicationId":"five"}', /^FILE: applicationId: expected a whole number of 0 or more$/],
    ['{"appUpdatePollInterval":1.5}', /^FILE: appUpdatePollInterval: expected a whole number of 0 or more$/],
    ["[]", /^FILE: .*expected an object.*/],
    ["null", /^FILE: .*expected an object.*/],
  ])("that is %s is refused", async (text, message) => {
    const file = await configured(text);
    const said = complaint(["--config", file]).replaceAll(file, "FILE");
    expect(said).toMatch(message);
    expect(said).not.toContain(": :");
  });

  test("that does not exist is refused with its path", () => {
    expect(complaint(["--config", "/nonexistent/config.json"])).toContain("/nonexistent/config.json");
  });

  test("is not printed, because it contains keys", async () => {
    const file = await configured('{"deviceApiKey":"hunter2","uuid":"x"}');
    expect(complaint(["--config", file])).not.toContain("hunter2");
  });
});

test.each([
  '{"deviceApiKey": 0123456789abcdef}',
  '{"deviceApiKey": abcdef0123456789}',
  '{"uuid": "0123456789abcdef0123456789abcdef", "deviceApiKey": hunter2hunter2, "apiEndpoint": ""}',
])("a broken config.json is not printed, because it contains keys: %s", async (text) => {
  const file = join(await temporaryFolder(), "config.json");
  await writeFile(file, text);
  const said = complaint(["--config", file]);
  expect(said).toContain("config.json is not JSON: ");
  expect(said.replace(file, "")).not.toMatch(/hunter|0123|abcd/);
});

test("config.json says whether the device is a development device", async () => {
  const file = join(await temporaryFolder(), "config.json");
  await writeFile(file, '{"developmentMode": true}');
  expect(given(["--config", file]).config).toEqual({ developmentMode: true });
  await writeFile(file, '{"developmentMode": "yes"}');
  expect(complaint(["--config", file])).toBe(`${file}: developmentMode: expected true or false`);
});

test("the commands use the variables of the service's settings file, unless the environment has them", async () => {
  const file = join(await temporaryFolder(), "fairlead.env");
  await writeFile(file, "# FAIRLEAD_PORT=1\nFAIRLEAD_PORT=8080\nFAIRLEAD_ENGINE='docker'\n");
  expect(withServiceEnvironment({ FAIRLEAD_ENGINE: "embedded" }, file)).toEqual({
    FAIRLEAD_PORT: "8080",
    FAIRLEAD_ENGINE: "embedded",
  });
  expect(withServiceEnvironment({ A: "1" }, `${file}.none`)).toEqual({ A: "1" });
});
