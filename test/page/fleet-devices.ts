import type { Page } from "playwright-core";
import { expect, onTestFinished } from "vitest";
import { MemoryLog } from "../../core/embedded/ports.ts";
import { systemClock } from "../../core/ports/clock.ts";
import { startTunnel } from "../../runtimes/node/cloud/tunnel.ts";
import { testDevice, type TestDevice } from "../support/device.ts";
import type { Cloud } from "../worker/cloud.ts";
import { connected } from "../worker/devices.ts";
import type { Registered, TestFleet } from "../worker/people.ts";

/** Fleets of a cloud, for the pages that show them. */

/** A whole agent on the engine in memory, connected to the cloud. */
export async function joinFleet(
  cloud: Cloud,
  { uuid, api_key: key }: Registered,
): Promise<TestDevice & { readonly leave: () => void }> {
  const agent = await testDevice({ identity: { uuid } });
  const tunnel = startTunnel({
    ...{ url: cloud.url(), uuid, key, fetch: agent.fetch, clock: systemClock, log: new MemoryLog() },
  });
  onTestFinished(() => tunnel.stop());
  await connected(tunnel);
  return { ...agent, leave: () => tunnel.stop() };
}

/** The device reports to run a release, and a problem of this kind. */
export async function reportTo(
  cloud: Cloud,
  fleet: TestFleet,
  { uuid, api_key }: Registered,
  { kind, commit = "c0ffee0" }: { readonly kind?: string; readonly commit?: string } = {},
): Promise<void> {
  const since = "2026-11-23T20:00:00.000Z";
  const part = {
    problems: kind === undefined ? [] : [{ appId: fleet.id, service: "web", kind, message: `<img> ${kind}`, since }],
    apps: {
      [fleet.uuid]: {
        release_uuid: commit,
        releases: { [commit]: { update_status: "done", services: { web: { image: "nginx:1", status: "Running" } } } },
      },
    },
  };
  expect((await cloud.ask("PATCH", "/device/v3/state", { [uuid]: part }, api_key)).status).toBe(200);
}

export async function makeRelease(cloud: Cloud, { id }: TestFleet, commit: string, image: string): Promise<void> {
  const body = { commit, composition: { services: { web: { image } } } };
  expect((await cloud.ask("POST", `/admin/v1/fleets/${id}/releases`, body)).status).toBe(201);
}

export async function signIn(page: Page, token: string): Promise<void> {
  await page.getByLabel("Token").fill(token);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Sign out" }).waitFor();
}
