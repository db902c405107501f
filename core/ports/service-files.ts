import type { FileContent } from "../model/service-file.ts";

/** The stored configs and secrets of services. Containers have them as bind mounts. */
export interface ServiceFiles {
  /** The folder in the engine's file system. The name of each file in it is its id. */
  readonly root: string;
  /** The same file has the same id on this device, on no other. The content cannot be guessed from it. */
  identify(file: FileContent): string;
  stored(): ReadonlySet<string>;
  /** Resolves when the file survives a power cut. Has no effect if it is stored. */
  write(id: string, file: FileContent): Promise<void>;
  remove(id: string): Promise<void>;
}
