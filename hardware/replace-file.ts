import { open, readFile, rename, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Puts a text in the place of a file: after a power cut there is the old one or the new one, whole. Without `newMode`, it
 * keeps the old one's.
 */
export async function replaceFile(file: string, text: string, newMode?: number): Promise<void> {
  const mode =
    newMode ??
    (await stat(file).then(
      ({ mode }) => mode & 0o777,
      () => 0o644,
    ));
  const next = `${file}.new`;
  await writeThrough(next, text, mode);
  await rename(next, file);
  const folder = await open(dirname(file), "r");
  await folder.sync().finally(() => folder.close());
}

async function writeThrough(file: string, text: string, mode: number): Promise<void> {
  const handle = await open(file, "w", mode);
  try {
    // Whatever the umask takes away.
    await handle.chmod(mode);
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A file's text; undefined when there is none. */
export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
