import { join } from "node:path";
import type { Page } from "playwright-core";
import { createTestHarness } from "wrangler";
import * as z from "zod";
import "../worker/offline.ts";

/** A cloud with a fleet in the middle of a rollout, for `npm run screenshots`. */

export interface FleetScene {
  readonly name: string;
  /** Behind `#`. */
  readonly path: (of: Pick<FleetCloud, "fleetId" | "emptyId" | "uuid">) => string;
  readonly isSignedOut?: true;
  readonly act?: (page: Page) => Promise<void>;
}

export interface FleetCloud {
  readonly url: string;
  readonly token: string;
  readonly fleetId: number;
  readonly emptyId: number;
  /** Of the device with most to say. */
  readonly uuid: string;
  readonly close: () => Promise<void>;
}

const Made = z.looseObject({ id: z.int() });
const Token = z.object({ token: z.string() });

const devices = [
  ["misty-sea", "9b1c2d0e", "unhealthy", "no answer on port 80 for 60 s"],
  ["the-camera-above-the-gate-of-the-northern-warehouse", "9b1c2d0e", "crashLoop", "exit code 137, out of memory"],
  ["still-lake", "e607cafd", "locked", 'camera holds a lock ("recording", 14:20)'],
  ["deep-well", "e607cafd"],
  ["quick-brook", "9b1c2d0e"],
  ["green-hill", "9b1c2d0e"],
  ["silent-shore", "9b1c2d0e"],
  ["old-bridge", "e607cafd"],
] as const;

const since = "2026-11-23T20:00:00.000Z";

export async function startFleetCloud(): Promise<FleetCloud> {
  const secret = crypto.randomUUID();
  const worker = createTestHarness({
    workers: [{ configPath: join(import.meta.dirname, "../../wrangler.toml"), secrets: { ADMIN_SECRET: secret } }],
  });
  const url = (await worker.listen()).url.origin;
  const ask = async <T>(shape: z.ZodType<T>, path: string, body: object): Promise<T> => {
    const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
    const answer = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
    return shape.parse(answer.status === 204 ? undefined : await answer.json());
  };
  const [fleet, empty] = [
    await ask(Made, "/admin/v1/fleets", { name: "cameras" }),
    await ask(Made, "/admin/v1/fleets", { name: "kitchens" }),
  ];
  const releases = new Map<string, number>();
  for (const [commit, image] of [
    ["e607cafd", "registry.lan/camera:6"],
    ["9b1c2d0e", "registry.lan/camera:7"],
  ] as const) {
    const services = { web: { image: "nginx:1.29" }, camera: { image } };
    const made = await ask(Made, `/admin/v1/fleets/${fleet.id}/releases`, { commit, composition: { services } });
    releases.set(commit, made.id);
  }
  await ask(z.undefined(), `/admin/v1/fleets/${fleet.id}/variables`, {
    variables: { TZ: "Europe/Berlin", BALENA_HOST_CONFIG_gpu_mem: "64" },
  });
  for (const name of ["technicians", "build server"])
    await ask(z.unknown(), "/admin/v1/tokens", { name, fleets: [fleet.id], write: name === "build server" });
  await ask(z.unknown(), `/admin/v1/fleets/${fleet.id}/provisioning-keys`, { name: "hall 4", uses: 12 });

  const storage = await worker.getWorker().getDurableObjectStorage("Directory", { name: "directory" });
  for (const [n, [name, commit, kind, message]] of devices.entries()) {
    const problems = kind === undefined ? [] : [{ appId: fleet.id, service: "camera", kind, message, since }];
    const isUpdating = name === "deep-well";
    const report = {
      update_status: isUpdating ? "downloading" : "done",
      update_commit: isUpdating ? "9b1c2d0e" : commit,
    };
    await storage.exec(
      `INSERT INTO devices (uuid, name, fleet_id, device_type, key_digest, created_at, connected, check_at, problems,
         running_release_id, report, heard_at, pinned_release_id)
       VALUES (?, ?, ?, 'raspberrypi4-64', ?, ?, ?, 9000000000000, ?, ?, ?, ?, ?)`,
      ...[uuidOf(n), name, fleet.id, `digest ${n}`, since, Number(name !== "silent-shore"), JSON.stringify(problems)],
      ...[releases.get(commit) ?? null, JSON.stringify(report)],
      ...[
        new Date(Date.now() - (n + 1) * 140_000).toISOString(),
        name === "old-bridge" ? (releases.get(commit) ?? null) : null,
      ],
    );
  }
  const { token } = await ask(Token, "/admin/v1/tokens", {
    name: "pictures",
    fleets: "all",
    write: true,
    manage: true,
  });
  return { ...{ url, token, fleetId: fleet.id, emptyId: empty.id, uuid: uuidOf(0) }, close: () => worker.close() };
}

const uuidOf = (n: number): string => (0xa0000 + n).toString(16).padStart(32, "0");

const select = async (page: Page) => {
  for (const n of [1, 3, 7]) await page.locator("tbody tr").nth(n).locator("input").check();
};

const restart = /^(Restart app|App neu starten) …$/;

export const fleetScenes: readonly FleetScene[] = [
  { name: "fleet-sign-in", path: () => "/", isSignedOut: true },
  { name: "fleet-devices", path: ({ fleetId }) => `/f/${fleetId}/` },
  { name: "fleet-empty", path: ({ emptyId }) => `/f/${emptyId}/` },
  { name: "fleet-selection", path: ({ fleetId }) => `/f/${fleetId}/`, act: select },
  {
    name: "fleet-question",
    path: ({ fleetId }) => `/f/${fleetId}/`,
    act: async (page) => {
      await select(page);
      await page.getByRole("button", { name: /^(Pin to|Release festlegen)/ }).click();
      await page.getByRole("dialog").waitFor();
    },
  },
  {
    name: "fleet-results",
    path: ({ fleetId }) => `/f/${fleetId}/`,
    act: async (page) => {
      await select(page);
      await page.getByRole("button", { name: restart }).click();
      await page.getByRole("dialog").locator("button[type=submit]").click();
      await page.locator(".results").getByText("offline").first().waitFor();
    },
  },
  {
    name: "fleet-filter-fault",
    path: ({ fleetId }) => `/f/${fleetId}/`,
    act: (page) => page.getByLabel("Filter").fill("is:broken"),
  },
  {
    name: "fleet-filter-none",
    path: ({ fleetId }) => `/f/${fleetId}/`,
    act: async (page) => {
      await page.getByLabel("Filter").fill("tag:site=north");
      await page.getByText(/^(No device fits|Kein Gerät passt)/).waitFor();
    },
  },
  {
    name: "fleet-rollback",
    path: ({ fleetId }) => `/f/${fleetId}/`,
    act: async (page) => {
      await page.locator(".rollout button").click();
      await page.getByRole("dialog").waitFor();
    },
  },
  { name: "fleet-releases", path: ({ fleetId }) => `/f/${fleetId}/releases` },
  { name: "fleet-variables", path: ({ fleetId }) => `/f/${fleetId}/variables` },
  { name: "fleet-variables-device", path: ({ fleetId, uuid }) => `/f/${fleetId}/variables/${uuid}` },
  { name: "fleet-add", path: ({ fleetId }) => `/f/${fleetId}/add` },
  { name: "fleet-tokens", path: ({ fleetId }) => `/f/${fleetId}/tokens` },
  { name: "fleet-audit", path: ({ fleetId }) => `/f/${fleetId}/audit` },
  { name: "fleet-device", path: ({ uuid }) => `/d/${uuid}/` },
];
