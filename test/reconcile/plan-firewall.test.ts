import { expect, test } from "vitest";
import type { FirewallPolicy } from "../../core/model/firewall.ts";
import type { TargetState } from "../../core/model/target.ts";
import { unseen, type CurrentState } from "../../core/reconcile/current.ts";
import { planFirewall } from "../../core/reconcile/plan-firewall.ts";
import { describe } from "../../core/reconcile/step.ts";
import { device as facts, parsedApp } from "../support/specs.ts";

const device = (firewall: CurrentState["firewall"], localMode = false): CurrentState => ({
  ...unseen(0, facts, localMode),
  firewall,
});

const target = (mode: string | undefined, fields: object = {}): TargetState => ({
  name: "device",
  config: mode === undefined ? {} : { HOST_FIREWALL_MODE: mode },
  apps: [parsedApp(1, { web: fields })],
});

const sentences = (current: CurrentState, wanted: TargetState) => planFirewall(current, wanted).map(describe);

const hostNetwork = { network_mode: "host" };
const open: FirewallPolicy = { closed: false, localMode: false };
const closed: FirewallPolicy = { closed: true, localMode: false };

const isOpen = "set the firewall: the host open, the API for services only";
const isClosed = "set the firewall: the host closed, the API for services only";

test.each([
  [undefined, {}, isOpen],
  ["off", hostNetwork, isOpen],
  ["", hostNetwork, isOpen],
  ["banana", hostNetwork, isOpen],
  ["on", {}, isClosed],
  ["auto", {}, isOpen],
  ["auto", hostNetwork, isClosed],
])("in mode %s, with a service %j: %s", (mode, fields, sentence) => {
  expect(sentences(device("unset"), target(mode, fields))).toEqual([sentence]);
});

test("an active policy is not set again", () => {
  expect(sentences(device(open), target(undefined))).toEqual([]);
  expect(sentences(device(closed), target("on"))).toEqual([]);
});

test("a new mode, and a service that joins the host's network, set a new policy", () => {
  expect(sentences(device(closed), target("off"))).toEqual([isOpen]);
  expect(sentences(device(open), target("auto", hostNetwork))).toEqual([isClosed]);
});

test("local mode opens the API to the LAN, and its end closes it", () => {
  expect(sentences(device(open, true), target(undefined))).toEqual([
    "set the firewall: the host open, the API for developers too",
  ]);
  expect(sentences(device({ ...open, localMode: true }), target(undefined))).toEqual([isOpen]);
});

test("nothing is planned for a machine without a firewall", () => {
  expect(sentences(device({ missing: "There is no iptables here" }), target("on"))).toEqual([]);
});
