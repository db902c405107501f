import { existsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import type { EngineHost } from "../core/ports/engine-host.ts";
import { existing } from "./pieces.ts";

/** The kernel's interpreters, by the architectures' names in images. Source: qemu-user, binfmt.d(5). */
const interpreters: Readonly<Record<string, readonly string[]>> = {
  amd64: ["qemu-x86_64", "rosetta"],
  "386": ["qemu-i386", "qemu-x86_64", "rosetta"],
  arm64: ["qemu-aarch64"],
  arm: ["qemu-arm"],
  riscv64: ["qemu-riscv64"],
  ppc64le: ["qemu-ppc64le"],
  s390x: ["qemu-s390x"],
};

/** This machine, on which the engine runs. `storage` returns the host's folders in which the engine keeps images. */
export function engineHost(hostRoot: string, storage: () => Promise<readonly string[]>): EngineHost {
  return {
    space: async () => {
      const folders = existing(hostRoot, await storage().catch(() => []));
      const spaces = await Promise.all(
        folders.map(async (folder) => {
          const { bsize, bavail, blocks, ffree, files } = await statfs(folder);
          return { freeBytes: bavail * bsize, totalBytes: blocks * bsize, freeInodes: ffree, inodes: files };
        }),
      ).catch(() => []);
      return spaces.toSorted((one, other) => one.freeBytes - other.freeBytes)[0];
    },
    emulates: (architecture) =>
      // An agent in a container sees the host's, if its /proc is mounted.
      (interpreters[architecture] ?? []).some((name) =>
        ["/", hostRoot].some((root) => existsSync(join(root, "proc/sys/fs/binfmt_misc", name))),
      ),
  };
}
