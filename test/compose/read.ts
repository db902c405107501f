import type { DeviceFacts } from "../../core/compose/container-spec.ts";
import type { RequirementFacts } from "../../core/compose/requirements.ts";
import { parseLocalTarget } from "../../core/compose/target-state.ts";
import type { App, Service, ServiceConfig } from "../../core/model/target.ts";

/** Functions of this folder's tests for target states with one service in compose's form. */

export const facts: RequirementFacts = {
  supervisorVersion: "19.0.5",
  deviceType: "raspberrypi4-64",
  arch: "aarch64",
  osSlug: "debian",
  osVersion: "Debian GNU/Linux 12 (bookworm)",
  kernelVersion: "6.12.25",
};

export const deviceFacts: DeviceFacts = {
  uuid: "0123456789abcdef0123456789abcdef",
  name: "kitchen",
  type: "raspberrypi4-64",
  arch: "aarch64",
  osVersion: "Debian GNU/Linux 12 (bookworm)",
  servicesFolder: "/tmp/balena-supervisor/services",
  filesFolder: "/var/lib/fairlead/files",
  apiPort: 48484,
  cloudUrl: "https://api.example.com",
  cloudKey: "cloud-key",
  engineSocket: "/var/run/docker.sock",
  boardRev: "c03111",
  osBuild: "20260101",
};

/** A service as balena-cli posts it, with these additional fields. */
export const entry = (fields: object = {}): object => ({
  serviceName: "one",
  imageId: 1,
  image: "one:latest",
  environment: {},
  labels: {},
  ...fields,
});

/** A whole target state of one application; services by their id. */
export const body = (services: Readonly<Record<string, object | null>>, app: object = {}): object => ({
  local: { apps: { "1": { name: "fleet", commit: "c1", releaseId: 10, services, ...app } } },
});

const parse = (value: unknown) => parseLocalTarget(value, facts, "before");

/** The faults of a target state; empty if it is accepted. */
export function faultsOf(value: unknown): readonly string[] {
  const parsed = parse(value);
  return parsed.ok ? [] : parsed.faults;
}

/** The accepted application and its warnings. Throws if it is refused. */
export function read(value: unknown): { readonly app: App; readonly warnings: readonly string[] } {
  const parsed = parse(value);
  if (!parsed.ok) throw new Error(parsed.faults.join("\n"));
  const [app] = parsed.target.apps;
  if (!app) throw new Error("There is no application in it");
  return { app, warnings: parsed.warnings };
}

export function serviceOf(fields: object): Service {
  const [service] = read(body({ "1": entry(fields) })).app.services;
  if (!service) throw new Error("There is no service in it");
  return service;
}

export const configOf = (fields: object): ServiceConfig => serviceOf(fields).config;

const here = /^local\.apps\.1\.(services\.1\.)?/;

/** The faults of one service's fields; paths begin at the field. */
export const faultsIn = (fields: object): readonly string[] =>
  faultsOf(body({ "1": entry(fields) })).map((fault) => fault.replace(here, ""));

/** The warnings of one service's fields. */
export const warningsAbout = (fields: object): readonly string[] =>
  read(body({ "1": entry(fields) })).warnings.map((warning) => warning.replace(here, ""));
