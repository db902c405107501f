import type { Space } from "../model/disk.ts";

/** The machine on which the engine runs. */
export interface EngineHost {
  /** Of the file system with the engine's images; undefined if it cannot be read. */
  space(): Promise<Space | undefined>;
  /** Whether the kernel has an interpreter for programs of this architecture, by its name in images. */
  emulates(architecture: string): boolean;
}
