import { shortenIds } from "../../../core/model/show.ts";
import { command, type Command, type Invocation, type Options } from "../command.ts";
import { cellOf, details, table } from "../table.ts";
import {
  appOption,
  applicationsOf,
  deviceOf,
  deviceOption,
  expectStatus,
  findApplication,
  type Device,
} from "./client.ts";

/** `fairlead update` for this device, and `fairlead cloud update` for one of the cloud: the same requests. */

type Output = Pick<Invocation<Options>, "print" | "show" | "say" | "columns" | "style">;

async function printStatus(
  device: Device,
  { app, json }: { readonly app?: string | undefined; readonly json?: boolean | undefined },
  { print, show, ...io }: Output,
): Promise<void> {
  const apps = app === undefined ? await applicationsOf(device) : [await findApplication(device, { app })];
  const found = await Promise.all(
    apps.map(async ({ appId, name }) => ({
      ...{ name, appId },
      ...expectStatus(await device.updateState.reply({ params: { appId } }), 200),
    })),
  );
  if (json) return show(found);
  if (found.length === 0) print("The device has no application\n");
  for (const { name, state, committed, target, waitsFor, gates, attempts, failure } of found) {
    print(`${io.style("bold", name)}  ${states[state]}\n`);
    const lines = {
      committed: committed?.commit ?? "none",
      target: target?.commit ?? "none",
      ...(attempts > 1 && { attempts }),
      ...(failure && { failed: failure.message }),
    };
    print(details(lines, io));
    for (const line of failure?.lines ?? []) print(`  ${cellOf(line)}\n`);
    if (gates.length > 0)
      print(
        table(
          gates.map(({ service, gate, is, detail = "" }) => ({ service, gate, is, detail })),
          io,
        ),
      );
    for (const wait of waitsFor) print(`Waits for ${cellOf(shortenIds(wait))}\n`);
  }
}

const states = {
  steady: "runs its release",
  preparing: "gets the images of another release",
  waiting: "has another release, and waits",
  trying: "tries another release",
  paused: "has failed with another release, and waits for a decision",
  goingBack: "goes back to the committed release",
  rejected: "runs the committed release; the target has failed",
} as const;

type Send = (device: Device, appId: number) => Promise<unknown>;

interface Decision {
  readonly about: string;
  /** What is printed then. */
  readonly said: string;
  readonly send: Send;
}

const decisions = {
  apply: {
    about: "For an application whose updates wait for consent. What else holds the update up still does.",
    said: "the update begins when nothing else holds it up",
    send: async (device, appId) => expectStatus(await device.applyUpdate.reply({ params: { appId }, body: {} }), 202),
  },
  retry: {
    about: "A release that has failed is not tried again by itself.",
    said: "the release is tried again",
    send: async (device, appId) => expectStatus(await device.retryUpdate.reply({ params: { appId } }), 202),
  },
  confirm: {
    about: "In place of the services that have to confirm. A release that has failed and waits for a decision stays.",
    said: "the update is confirmed",
    send: async (device, appId) => expectStatus(await device.confirmUpdate.reply({ params: { appId }, body: {} }), 204),
  },
} as const satisfies Readonly<Record<string, Decision>>;

const rollBack = (reason: string | undefined): Decision => ({
  about: "While a release is tried, or has failed and waits for a decision. It is not tried again by itself.",
  said: "the committed release comes back",
  send: async (device, appId) => {
    const body = reason === undefined ? {} : { reason };
    return expectStatus(await device.rollBackUpdate.reply({ params: { appId }, body }), 202);
  },
});

async function decide(
  { send, said }: Decision,
  device: Device,
  app: string | undefined,
  say: Output["say"],
): Promise<void> {
  const { appId, name } = await findApplication(device, { app });
  await send(device, appId);
  say(`${name}: ${said}`, { appId, name });
}

const onDevice = (decision: Decision): Command =>
  command({
    options: { device: deviceOption },
    about: decision.about,
    run: async ({ words: [app], options, say, ...io }) => decide(decision, await deviceOf(options, io), app, say),
  });

const inCloud = (decision: Decision): Command =>
  command({
    options: { app: appOption },
    about: decision.about,
    run: async ({ words: [device], options: { app }, say, ...io }) =>
      decide(decision, await deviceOf({ device }, io), app, say),
  });

const reasonOption = { type: "string", value: "<text>", hint: "why; it is shown with the update" } as const;

export const apply = onDevice(decisions.apply);
export const retry = onDevice(decisions.retry);
export const confirm = onDevice(decisions.confirm);
export const rollback = command({
  options: { device: deviceOption, reason: reasonOption },
  about: rollBack(undefined).about,
  run: async ({ words: [app], options, say, ...io }) =>
    decide(rollBack(options.reason), await deviceOf(options, io), app, say),
});

export const cloudApply = inCloud(decisions.apply);
export const cloudRetry = inCloud(decisions.retry);
export const cloudRollback = command({
  options: { app: appOption, reason: reasonOption },
  about: rollBack(undefined).about,
  run: async ({ words: [device], options: { app, reason }, say, ...io }) =>
    decide(rollBack(reason), await deviceOf({ device }, io), app, say),
});

const aboutStatus = "What it waits for, what its services must show, and why it has failed.";

export const status = command({
  options: { device: deviceOption },
  about: aboutStatus,
  run: async ({ words: [app], options, environment, ...io }) =>
    printStatus(await deviceOf(options, { environment }), { app, json: options.json }, io),
});

export const cloudStatus = command({
  options: { app: appOption },
  about: aboutStatus,
  run: async ({ words: [device], options: { app, json }, environment, ...io }) =>
    printStatus(await deviceOf({ device }, { environment }), { app, json }, io),
});
