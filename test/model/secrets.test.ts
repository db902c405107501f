import { describe, expect, test } from "vitest";
import { bareName, redact } from "../../core/model/secrets.ts";
import { jsonFault, show } from "../../core/model/show.ts";

describe("an engine's message about a container", () => {
  const environment = {
    TOKEN: "hunter2hunter2",
    PIN: "1234",
    PORT: "8080",
    TEXT: 'two "words"\nin two lines',
    BALENA_SERVICE_NAME: "frontend",
    BALENA_SUPERVISOR_API_KEY: "0123456789abcdef",
    EMPTY: "",
  };

  test.each([
    ["invalid environment variable: TOKEN=hunter2hunter2", "invalid environment variable: TOKEN=(hidden)"],
    ["invalid environment variable: PIN=1234", "invalid environment variable: PIN=(hidden)"],
    ["hunter2hunter2: no such file", "(hidden): no such file"],
    [`["TEXT=two \\"words\\"\\nin two lines"]`, '["TEXT=(hidden)"]'],
    [`env ${environment.TEXT}`, "env (hidden)"],
    ["key 0123456789abcdef", "key (hidden)"],
  ])("%s → %s", (text, shown) => {
    expect(redact(text, { environment })).toBe(shown);
  });

  test.each([
    "Bind for 0.0.0.0:8080 failed: port is already allocated",
    'Conflict. The container name "/frontend_1_2_c1" is already in use',
  ])("stays readable: %s", (text) => {
    expect(redact(text, { environment })).toBe(text);
  });
});

test.each([
  ["https://user:hunter2@registry.example/v2/: 401", "https://(hidden)@registry.example/v2/: 401"],
  [
    "failed to mount local volume: addr=1.2.3.4,username=a,password=hunter2,vers=3.0",
    "failed to mount local volume: addr=1.2.3.4,username=a,password=(hidden),vers=3.0",
  ],
  ["https://cdn.example/layer?token=hunter2&x=1", "https://cdn.example/layer?token=(hidden)&x=1"],
  ["nobody@example.com is not known", "nobody@example.com is not known"],
])("passwords in addresses and options are not shown: %s", (text, shown) => {
  expect(redact(text)).toBe(shown);
});

test("given secrets are not shown, however short they are, unless they occur in any sentence", () => {
  expect(redact("no hunt for 1", { secrets: ["hunt", "1"] })).toBe("no (hidden) for 1");
});

test("a value within a variable's name is not shown", () => {
  expect(bareName("PASSWORD=hunter2")).toBe("PASSWORD=(hidden)");
  expect(bareName("PASSWORD")).toBe("PASSWORD");
});

test("of a whole service, the names are shown and the texts are not", () => {
  const service = {
    image: "app:1",
    environment: { A: "hunter2" },
    labels: { "traefik.users": "hunter2", "b=hunter2": 1 },
    command: ["--password", "hunter2"],
    healthcheck: { test: "hunter2", retries: 3 },
  };
  const shown = show(service);
  expect(shown).not.toContain("hunter2");
  expect(JSON.parse(shown)).toEqual({
    image: "app:1",
    environment: "(hidden)",
    labels: { "traefik.users": "(hidden)", "b=(hidden)": 1 },
    command: ["(hidden)", "(hidden)"],
    healthcheck: { test: "(hidden)", retries: 3 },
  });
});

test.each(['{"key": hunter2}', `{"some": "more", "and": "more", "key": hunter2, "so": "on", "and": "on"}`, "{", ""])(
  "why a text is no JSON is said without the text: %s",
  (text) => {
    let fault = "";
    try {
      JSON.parse(text);
    } catch (error) {
      fault = jsonFault(error);
    }
    expect(fault).toMatch(/^(Unexpected (token 'h'|end of JSON input)|Expected property name .*)$/);
  },
);
