import { open, readFile, rename, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Replaces a file atomically: after a power cut, either the old or the new content is there, complete. Without `newMode`,
 * the file keeps its mode.
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
    // The umask can remove bits of the mode given to `open`.
    await handle.chmod(mode);
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A file's text. Undefined if the file does not exist. */
export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
