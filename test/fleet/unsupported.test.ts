import { describe, expect, test } from "vitest";
import { parseComposition } from "../../core/fleet/release.ts";

const faultsOf = (body: unknown) => {
  const parsed = parseComposition(body);
  return parsed.ok ? [] : parsed.faults;
};
const web = (fields: object) => ({ services: { web: { image: "web:1", ...fields } } });

describe("a release lists what devices do not support:", () => {
  test.each([
    ["a field of the file", { ...web({}), servces: {} }, ['servces: not supported; did you mean "services"?']],
    ["a field that is like none", { ...web({}), models: {} }, ["models: not supported"]],
    ["a field of a service", web({ comand: "x" }), ['services.web.comand: not supported; did you mean "command"?']],
    ["two letters swapped", web({ prots: ["80"] }), ['services.web.prots: not supported; did you mean "ports"?']],
    ["a platform", web({ platform: "linux/arm64" }), ["services.web.platform: not supported"]],
    [
      "a field of a health check",
      web({ healthcheck: { test: "true", intervall: "5s" } }),
      ['services.web.healthcheck.intervall: not supported; did you mean "interval"?'],
    ],
    [
      "a field of a network and of a volume",
      { ...web({}), networks: { n: { drivr: "bridge" } }, volumes: { v: { external: true } } },
      ['networks.n.drivr: not supported; did you mean "driver"?', "volumes.v.external: not supported"],
    ],
    [
      "a restart policy that is none",
      web({ restart: "sometimes" }),
      ['services.web.restart: expected one of no, always, on-failure[:N], unless-stopped, but got "sometimes"'],
    ],
    [
      "a dependency on a service that is not there",
      { services: { web: { image: "web:1", depends_on: ["databse"] }, database: { image: "db:1" } } },
      ['services.web.depends_on: there is no service "databse"; did you mean "database"?'],
    ],
    [
      "the same, with a condition",
      web({ depends_on: { db: { condition: "service_healthy" } } }),
      ['services.web.depends_on: there is no service "db"'],
    ],
  ])("%s", (_, body, faults) => {
    expect(faultsOf(body)).toEqual(faults);
    const allowed = parseComposition(body, { allowUnsupported: true });
    expect(allowed.ok && allowed.warnings).toEqual(faults);
  });

  test("fields for authors and fields without effect on a container are not listed", () => {
    expect(faultsOf({ ...web({ "x-note": 1, restart: false }), "x-a": 1, name: "n", version: "3" })).toEqual([]);
  });
});

describe("two services with one port number of the host", () => {
  const two = (a: object, b: object) => ({ services: { a: { image: "a:1", ...a }, b: { image: "b:1", ...b } } });

  test.each([
    [["80:80"], ["80:8080"], ["services.b.ports: port 80/tcp of the host is published by a, too"]],
    [["127.0.0.1:80:80"], ["80:80"], ["services.b.ports: port 80/tcp of the host is published by a, too"]],
    [["80-82:80-82"], ["81:1"], ["services.b.ports: port 81/tcp of the host is published by a, too"]],
    [["127.0.0.1:80:80"], ["127.0.0.2:80:80"], []],
    [["53:53/udp"], ["53:53/tcp"], []],
    [["8000-8010:80"], ["8000-8010:80"], []],
    [["80"], ["80"], []],
  ])("%j and %j: %j", (a, b, faults) => {
    expect(faultsOf(two({ ports: a }, { ports: b }))).toEqual(faults);
  });

  test("are refused even if unsupported parts are allowed", () => {
    const parsed = parseComposition(two({ ports: ["80:80"] }, { ports: ["80:80"] }), { allowUnsupported: true });
    expect(parsed.ok).toBe(false);
  });
});
