import { SettingsError } from "../../node/settings-error.ts";
import { command } from "../command.ts";
import { table } from "../table.ts";
import { expectStatus } from "./client.ts";
import { composeOptions, readTarget } from "./local.ts";

export const plan = command({
  options: composeOptions,
  about: "The device compares the compose file with what it runs, and changes nothing. It has to be in local mode.",
  run: async ({ words: [given], options, environment, print, show, ...io }) => {
    const { device, project, target, isManaged } = await readTarget(given, options, environment);
    if (isManaged)
      throw new SettingsError(
        "The device is managed by its cloud, and up would be refused. What a release changes: fairlead cloud release --dry-run",
      );
    const { appId, body, warnings } = target;
    const answer = expectStatus(await device.planTarget.reply({ params: { appId }, body }), 200);
    if (options.json) return show({ project, appId, ...answer, warnings });
    for (const warning of warnings) print(`Warning: ${warning}\n`);
    const { services, networks, volumes, waitsFor } = answer;
    const parts = [
      ...networks.map((one) => ({ ...one, name: `network ${one.name}`, download: "" })),
      ...volumes.map((one) => ({ ...one, name: `volume ${one.name}`, download: "" })),
    ].filter(({ action, differences }) => action !== "keep" || differences.length > 0);
    const rows = [
      ...services
        .toSorted((a, b) => (a.service < b.service ? -1 : 1))
        .map(({ service, downloadBytes, ...one }) => ({
          ...one,
          name: service,
          download: sizeOf(downloadBytes),
        })),
      ...parts,
    ];
    print(
      table(
        rows.map(({ name, action, download, why }) => ({ [project]: name, action, download, why })),
        io,
      ),
    );
    for (const wait of waitsFor) print(`\n${wait}\n`);
    if (rows.every(({ action }) => action === "keep")) print("\nNo container changes\n");
  },
});

/** Of an image that must be downloaded. */
const sizeOf = (bytes: number | null): string =>
  bytes === null ? "yes" : bytes === 0 ? "" : `${(bytes / 1e6).toFixed(1)} MB`;
