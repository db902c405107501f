import { shortenIds } from "../../../core/model/show.ts";
import { command } from "../command.ts";
import { ageOf, cellOf, details, table } from "../table.ts";
import { deviceOf, deviceOption, expectStatus, type Device } from "./client.ts";

export const status = command({
  options: { device: deviceOption },
  run: async ({ options, print, show, ...io }) => {
    const device = await deviceOf(options, io);
    const [about, { deviceName }, { vpn }] = [
      expectStatus(await device.device.reply(), 200),
      expectStatus(await device.deviceName.reply(), 200),
      expectStatus(await device.vpn.reply(), 200),
    ];
    const applications = expectStatus(await device.applicationsState.reply(), 200);
    const { problems } = expectStatus(await device.problems.reply(), 200);
    if (options.json) return show({ ...about, deviceName, vpn, applications, problems });
    const { os_version: os, ip_address: address, api_port: port, supervisor_version: version } = about;
    const overview = {
      device: deviceName,
      system: os,
      address: `${address || "none"} (API: port ${port}, version ${version})`,
      cloud: vpn.connected ? "connected" : vpn.enabled ? "not connected" : "none",
    };
    print(details(overview, io));
    for (const [name, { commit, updateStatus, services }] of Object.entries(applications)) {
      print(`\n${io.style("bold", name)}  release ${commit || "none"}, ${updateStatus}\n`);
      const rows = Object.entries(services).map(([service, { status: state, downloadProgress, image }]) => ({
        service,
        status: downloadProgress === null ? state : `${state} ${downloadProgress} %`,
        image: shortenIds(image),
      }));
      if (rows.length > 0) print(table(rows, io));
    }
    if (problems.length === 0) return;
    print(`\n${io.style("red", "Problems")}\n`);
    for (const { service, message, since } of problems)
      print(`  ${service === undefined ? "" : `${cellOf(service)}: `}${cellOf(message)} (${ageOf(since)})\n`);
  },
});

export const ps = command({
  options: { device: deviceOption },
  run: async ({ options, show, ...io }) =>
    show(
      await containersOf(await deviceOf(options, io)),
      "No container. To run a compose file: fairlead up docker-compose.yml",
    ),
});

async function containersOf(device: Device) {
  const applications = expectStatus(await device.applicationsState.reply(), 200);
  return Object.entries(applications).flatMap(([application, { services }]) =>
    Object.entries(services).map(([service, { status: state, image, downloadProgress }]) => ({
      service,
      application,
      status: downloadProgress === null ? state : `${state} ${downloadProgress} %`,
      image: shortenIds(image),
    })),
  );
}
