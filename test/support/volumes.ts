import { Readable } from "node:stream";
import type Docker from "dockerode";

/** The content of volumes on a real engine. `image` is one that `makeImage` has made. */

const withVolume = (image: string, volume: string, script = ""): Docker.ContainerCreateOptions => ({
  Image: image,
  Cmd: ["/bin/sh", "-c", `cd /v\n${script}`],
  Tty: true,
  HostConfig: { NetworkMode: "none", Binds: [`${volume}:/v:nocopy`] },
});

async function using<T>(
  docker: Docker,
  options: Docker.ContainerCreateOptions,
  use: (container: Docker.Container) => Promise<T>,
): Promise<T> {
  const container = await docker.createContainer(options);
  try {
    return await use(container);
  } finally {
    await container.remove({ force: true, v: true });
  }
}

/** Runs a script in the folder of a volume. Returns its output. */
export const runIn = (docker: Docker, image: string, volume: string, script: string): Promise<string> =>
  using(docker, withVolume(image, volume, script), async (container) => {
    await container.start();
    const { StatusCode } = await container.wait();
    const output = String(await container.logs({ stdout: true, stderr: true })).replaceAll("\r\n", "\n");
    if (StatusCode !== 0) throw new Error(`The script ended with ${StatusCode}: ${output}`);
    return output;
  });

export interface Entry {
  readonly path: string;
  readonly content: string;
  /** Extended header records, such as `SCHILY.xattr.user.a`, in Latin-1. */
  readonly pax?: Readonly<Record<string, string>>;
}

/** Writes files into a volume. */
export const putInto = (docker: Docker, image: string, volume: string, entries: readonly Entry[]): Promise<void> =>
  using(docker, withVolume(image, volume), async (container) => {
    const blocks = entries.flatMap(({ path, content, pax = {} }) => [
      ...tarFile("x", "pax", Buffer.from(Object.entries(pax).map(toPaxRecord).join(""), "latin1")),
      ...tarFile("0", path, Buffer.from(content)),
    ]);
    await container.putArchive(Readable.from([...blocks, Buffer.alloc(1024)]), { path: "/v" });
  });

/** The archive of a volume's content, in Latin-1. */
export const archiveOf = (docker: Docker, image: string, volume: string): Promise<string> =>
  using(docker, withVolume(image, volume), async (container) => {
    const chunks: Buffer[] = [];
    for await (const chunk of await container.getArchive({ path: "/v" })) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks).toString("latin1");
  });

/** Source: POSIX.1-2001, pax, "ustar Interchange Format". */
function tarFile(type: "0" | "x", path: string, content: Buffer): Buffer[] {
  const header = Buffer.alloc(512);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  header.write(path, 0);
  header.write(octal(0o644, 7) + octal(0, 7) + octal(0, 7) + octal(content.length, 11) + octal(0, 11), 100);
  header.write(`        ${type}`, 148);
  header.write("ustar\x0000", 257);
  header.write(
    `${octal(
      header.reduce((sum, byte) => sum + byte, 0),
      6,
    )} `,
    148,
  );
  return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
}

/** The length counts its own digits. */
function toPaxRecord([key, value]: readonly [string, string]): string {
  const rest = ` ${key}=${value}\n`;
  const length = (digits: number): number => {
    const text = String(rest.length + digits);
    return text.length > digits ? length(text.length) : rest.length + digits;
  };
  return `${length(1)}${rest}`;
}
