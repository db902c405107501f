import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { createMemoryDevice, type MemoryDevice } from "../../core/embedded/index.ts";
import { memorySystem } from "../../core/embedded/ports.ts";
import { app } from "../support/device.ts";
import { executablePath } from "../support/chromium.ts";
import { fleetScenes, startFleetCloud, type FleetCloud, type FleetScene } from "./fleet-scenes.ts";
import { flags, servePage } from "./served.ts";

/** `npm run screenshots [folder] [names]`: every screen and state, or some, in three widths, light and dark, the fleet's in German too, for eyes. */

const [given, ...chosen] = process.argv.slice(2);
const folder = resolve(given ?? join(import.meta.dirname, "../../screenshots"));
mkdirSync(folder, { recursive: true });

const widths = [360, 768, 1280] as const;

/** A machine that runs for twelve days. */
const ports = { system: { ...memorySystem, bootedAt: () => Date.now() - 12 * 86_400_000 } };

/** A morning in the life of a device: one service runs, one is downloaded, one fails again and again, one holds a lock. */
async function busyDevice(): Promise<MemoryDevice> {
  const device = await createMemoryDevice({
    ports,
    restartMs: 2000,
    program: ({ service }) =>
      service === "db"
        ? {
            lines: ["\u001b[31mFATAL\u001b[0m: could not write lock file: No space left on device"],
            exit: { code: 137, afterMs: 300 },
          }
        : { lines: talk[service] ?? [] },
  });
  const { folders } = device;
  const services = {
    web: { image: "nginx:1.29", ports: ["80:80"] },
    camera: { image: "registry.lan/camera:7" },
    db: { image: "postgres:17", restart: "always" },
  };
  await set(device, { "1": app(services, { name: "shop", commit: "e607cafe10" }) });
  await device.settled();
  folders.lock(1, "camera");
  return device;
}

const talk: Readonly<Record<string, readonly string[]>> = {
  web: [
    "2026/11/29 14:02:11 [notice] 1#1: nginx/1.29.0",
    "192.168.1.20 - GET / 200 612",
    "192.168.1.20 - GET /style.css 200 1180",
  ],
  camera: ["recording to /data/2026-11-29.mp4", "frame 1200, 25 fps, 2.1 Mbit/s"],
};

async function set(device: MemoryDevice, apps: object): Promise<void> {
  const body = JSON.stringify({ local: { name: "misty-sea", config: {}, apps } });
  const headers = { "content-type": "application/json" };
  const answer = await device.fetch(
    new Request("http://device/v2/local/target-state", { method: "POST", headers, body }),
  );
  if (!answer.ok) throw new Error(await answer.text());
}

/** A day of the machine, which a device in memory does not have. */
function day(): object {
  const each = 60_000;
  const count = 1440;
  const from = Date.now() - count * each;
  const column = (value: (n: number) => number) => Array.from({ length: count }, (_, n) => value(n));
  const wave = (n: number, length: number) => Math.sin((n / length) * 2 * Math.PI);
  return {
    sampleSeconds: 60,
    samples: {
      at: column((n) => from + n * each),
      cpuPercent: column((n) => Math.round(14 + 8 * wave(n, 480) + 5 * wave(n, 37) + (n % 211 < 6 ? 45 : 0))),
      memoryUsedMb: column((n) => Math.round(475 + 60 * wave(n, 700) + n / 40)),
      storageUsedMb: column((n) => Math.round(1700 + n / 4)),
      cpuCelsius: column((n) => Math.round(50 + 5 * wave(n, 480) + 2 * wave(n, 37))),
    },
    ...{ memoryTotalMb: 1024, storageTotalMb: 8192, services: [] },
  };
}

interface Scene {
  readonly name: string;
  readonly path: string;
  readonly device: () => Promise<MemoryDevice>;
  /** What is done before the picture is taken. */
  readonly act?: (page: Page) => Promise<void>;
}

const emptyDevice = async () => {
  const device = await createMemoryDevice({ ports });
  await set(device, {});
  return device;
};

const managed = () => createMemoryDevice({ ports, identity: { cloudUrl: "https://cloud.example", cloudKey: "k" } });

const scenes: readonly Scene[] = [
  { name: "device", path: "", device: busyDevice },
  { name: "logs", path: "logs", device: busyDevice },
  { name: "update", path: "update", device: busyDevice },
  { name: "figures", path: "figures", device: busyDevice },
  {
    name: "target",
    path: "target",
    device: busyDevice,
    act: async (page) => {
      const field = page.getByLabel("Target state as JSON");
      await field.fill((await field.inputValue()).replace('"nginx:1.29"', '"nginx:1.30"'));
      await page.getByText("The device accepts this.").waitFor();
    },
  },
  {
    name: "target-faults",
    path: "target",
    device: busyDevice,
    act: async (page) => {
      const field = page.getByLabel("Target state as JSON");
      await field.fill((await field.inputValue()).replace('"nginx:1.29"', "7"));
      await page.getByText("Faults").waitFor();
    },
  },
  {
    name: "host",
    path: "host",
    device: busyDevice,
    act: async (page) => void (await page.getByText("Host name").first().waitFor()),
  },
  { name: "menu", path: "", device: busyDevice, act: (page) => page.locator(".device-actions summary").click() },
  {
    name: "purge",
    path: "",
    device: busyDevice,
    act: async (page) => {
      await page.locator(".device-actions summary").click();
      await page.getByRole("button", { name: /^Purge/ }).click();
      await page.getByRole("dialog").waitFor();
    },
  },
  { name: "empty", path: "", device: emptyDevice },
  { name: "login", path: "", device: managed },
];

interface Look {
  readonly width: number;
  readonly colorScheme: "light" | "dark";
  readonly locale: string;
}

const looks: readonly Look[] = widths.flatMap((width) => [
  { width, colorScheme: "light", locale: "en-GB" },
  { width, colorScheme: "dark", locale: "en-GB" },
]);

/** German words are longer. */
const german: readonly Look[] = [
  { width: 360, colorScheme: "light", locale: "de-DE" },
  { width: 1280, colorScheme: "dark", locale: "de-DE" },
];

async function picture(
  browser: Browser,
  name: string,
  { width, colorScheme, locale }: Look,
  draw: (page: Page) => Promise<void>,
): Promise<void> {
  const page = await browser.newPage({
    viewport: { width, height: 800 },
    ...{ colorScheme, locale, reducedMotion: "reduce" as const },
  });
  await draw(page);
  await page.waitForTimeout(100);
  const suffix = locale === "en-GB" ? "" : `-${locale.slice(0, 2)}`;
  await page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}${suffix}.png`) });
  await page.close();
}

async function take(browser: Browser, { name, path, device: create, act }: Scene): Promise<void> {
  const device = await create();
  const isOpen = device.supervisor.targets.isLocalMode();
  const served = await servePage(device.fetch, { isOpen });
  for (const look of looks)
    await picture(browser, name, look, async (page) => {
      await page.route("**/v3/metrics*", (route) => route.fulfill({ json: day() }));
      await page.goto(`${served.url}/#/${path}`);
      await page
        .getByText(isOpen ? "live" : "Key of the device")
        .first()
        .waitFor();
      await page.waitForTimeout(900);
      await act?.(page);
    });
  await served.close();
  await device.stop();
}

async function takeOfFleet(browser: Browser, cloud: FleetCloud, { name, path, isSignedOut, act }: FleetScene) {
  for (const look of [...looks, ...german])
    await picture(browser, name, look, async (page) => {
      await page.goto(`${cloud.url}/#${isSignedOut ? "/" : `token=${cloud.token}`}`);
      // The link asks first.
      if (!isSignedOut) await page.locator(".login button.filled:enabled").click();
      await page.locator(isSignedOut ? ".login" : ".fleet-head").waitFor();
      if (!isSignedOut) await page.goto(`${cloud.url}/#${path(cloud)}`);
      await page.waitForTimeout(700);
      await act?.(page);
    });
}

const isChosen = ({ name }: { readonly name: string }) => chosen.length === 0 || chosen.includes(name);
const browser = await chromium.launch({ executablePath, args: flags });
for (const scene of scenes.filter(isChosen)) {
  process.stderr.write(`${scene.name}\n`);
  await take(browser, scene);
}
const ofFleets = fleetScenes.filter(isChosen);
if (ofFleets.length > 0) {
  const cloud = await startFleetCloud();
  for (const scene of ofFleets) {
    process.stderr.write(`${scene.name}\n`);
    await takeOfFleet(browser, cloud, scene);
  }
  await cloud.close();
}
await browser.close();
process.exit(0);
