import { command, yesOption, type Command } from "../command.ts";
import { appOption, deviceOf, deviceOption, expectStatus, findApplication, forceOption } from "./client.ts";

const options = { device: deviceOption, app: appOption, force: forceOption } as const;

const actions = {
  start: { operation: "startService", said: "Started" },
  stop: { operation: "stopService", said: "Stopped" },
  restart: { operation: "restartService", said: "Restarted" },
} as const;

/** One service, or all services of the application. */
const onServices = (action: keyof typeof actions, about: string): Command =>
  command({
    options,
    about,
    run: async ({ words: [service], options: { device: wanted, app, force }, say, ...io }) => {
      const device = await deviceOf({ device: wanted }, io);
      const { appId, name, services } = await findApplication(device, { app, service });
      const chosen = service === undefined ? services : [service];
      const { operation, said } = actions[action];
      for (const serviceName of chosen)
        expectStatus(
          await device[operation].reply({ params: { appId }, body: { serviceName, ...(force && { force }) } }),
          200,
        );
      say(`${said}: ${chosen.join(", ") || `nothing, since ${name} has no service`}`, { appId, services: chosen });
    },
  });

export const start = onServices("start", "Without a service: all services of the application.");
export const stop = onServices(
  "stop",
  "Without a service: all services of the application. They start again when the device or the agent restarts.",
);
export const restart = onServices(
  "restart",
  "Without a service: all services of the application. A service gets a new container.",
);

export const purge = command({
  options: { ...options, yes: yesOption },
  about: "What the application has stored in its volumes is lost.",
  run: async ({ words: [app], options: { device: wanted, force, ...chosen }, confirm, say, ...io }) => {
    const device = await deviceOf({ device: wanted }, io);
    const { appId, name } = await findApplication(device, { app: app ?? chosen.app });
    await confirm(`Remove all volumes of ${name}, and what is stored in them?`);
    expectStatus(await device.purgeV2.reply({ params: { appId }, body: force ? { force } : {} }), 200);
    say(`The volumes of ${name} are empty`, { appId, name });
  },
});
