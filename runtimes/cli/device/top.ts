import { command } from "../command.ts";
import { toTable } from "../table.ts";
import { appOption, applicationsOf, deviceOf, deviceOption, expectStatus, findApplication } from "./client.ts";

export const top = command({
  options: { device: deviceOption, app: appOption },
  about: "Without a service: what each service uses now. With one: its processes.",
  run: async ({ words: [service], options, environment, print, show, columns, style }) => {
    const device = await deviceOf(options, { environment });
    if (service !== undefined) {
      const { appId } = await findApplication(device, { app: options.app, service });
      const params = { appId, service };
      const { titles, processes } = expectStatus(await device.serviceProcesses.reply({ params }), 200);
      if (options.json) return show({ titles, processes });
      return print(toTable(titles, processes, { columns, style }));
    }
    const chosen =
      options.app === undefined ? await applicationsOf(device) : [await findApplication(device, { app: options.app })];
    const all = await Promise.all(
      chosen.map(async ({ appId, name }) => {
        const { services } = expectStatus(await device.applicationStats.reply({ params: { appId } }), 200);
        return Object.entries(services).map(([one, use]) => ({ service: one, application: name, ...use }));
      }),
    );
    if (options.json) return show(all.flat());
    show(
      all.flat().map(({ service: one, application, ...use }) => ({
        service: one,
        application,
        cpu: `${use.cpuPercent.toFixed(1)} %`,
        memory: `${size(use.memoryBytes)} of ${size(use.memoryLimitBytes)}`,
        network: `${size(use.receivedBytes)} in, ${size(use.sentBytes)} out`,
        disk: `${size(use.readBytes)} read, ${size(use.writtenBytes)} written`,
        processes: use.processes,
      })),
      "No service runs",
    );
  },
});

const units = ["B", "kB", "MB", "GB", "TB"];

function size(bytes: number): string {
  const step = Math.min(units.length - 1, Math.floor(Math.log(Math.max(1, bytes)) / Math.log(1000)));
  const amount = bytes / 1000 ** step;
  return `${amount < 10 && step > 0 ? amount.toFixed(1) : Math.round(amount)} ${units[step]}`;
}
