import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { temporaryFolder } from "../node/temporary-folder.ts";
import { makeImage, noDocker } from "../support/docker.ts";
import { docker } from "./on-the-engine.ts";

/** The command lines with `docker` of docs/backup.md, docs/migrate.md and docs/uninstall.md, as they are typed. */

const pageOf = (name: string) => readFileSync(join(import.meta.dirname, "../../docs", name), "utf8");
const linesOf = (name: string) =>
  [...pageOf(name).matchAll(/^ {4,}(docker (?:run|volume|ps) .*)$/gm)].map(([, line]) => line ?? "");

const shell = async (script: string, cwd: string) =>
  (await promisify(execFile)("sh", ["-ec", script], { cwd })).stdout.trim();
const inVolume = (name: string, script: string) => `docker run --rm -v ${name}:/data busybox sh -c '${script}'`;

const volumes = async () => {
  const { Volumes } = await docker.listVolumes({ filters: { label: ["io.balena.supervised"] } });
  return Volumes.map(({ Name }) => Name);
};

describe.skipIf(noDocker !== undefined)("the documented commands", () => {
  beforeAll(() => makeImage(docker, "busybox"));

  test("save a volume, restore it, copy it to another name, and remove it", async () => {
    const folder = await temporaryFolder();
    onTestFinished(() => shell("docker volume rm -f 1_data 1234567_data", folder).then(() => {}));
    const [save = "", ...restore] = linesOf("backup.md");
    await shell(inVolume("1_data", "echo precious >/data/file && chown 7:7 /data/file"), folder);
    await shell(save, folder);

    await shell("docker volume rm 1_data", folder);
    for (const line of restore) await shell(line, folder);
    expect(await shell(inVolume("1_data", "cat /data/file && stat -c %u /data/file"), folder)).toBe("precious\n7");
    expect(await volumes()).toEqual(["1_data"]);

    await shell(`docker volume rm 1_data && ${inVolume("1234567_data", "echo moved >/data/file")}`, folder);
    for (const line of linesOf("migrate.md")) await shell(line, folder);
    expect(await shell(inVolume("1_data", "cat /data/file"), folder)).toBe("moved");

    const removals = [...pageOf("uninstall.md").matchAll(/`(docker (?:ps|network|volume) .*?)`/g)];
    expect(removals.length).toBe(3);
    for (const [, line = ""] of removals) await shell(line.replaceAll("\\|", "|"), folder);
    expect(await volumes()).toEqual([]);
  });
});
