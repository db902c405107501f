import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import { MemoryFolders } from "../../core/embedded/ports.ts";
import type { EngineState } from "../../core/ports/engine.ts";
import type { LockResult } from "../../core/ports/update-locks.ts";

/** An engine that answers late, with what it has seen before. */
export class LateEngine extends EmbeddedEngine {
  /** What its answers wait for. */
  late: Promise<void> | undefined;
  looks = 0;
  override async look(): Promise<EngineState> {
    const seen = await super.look();
    this.looks++;
    await this.late;
    return seen;
  }
}

/** Update locks whose answers come late. */
export class LateFolders extends MemoryFolders {
  late: Promise<void> | undefined;
  refusals = 0;
  override async take(appId: number, services: readonly string[], options: { force: boolean }): Promise<LockResult> {
    const result = await super.take(appId, services, options);
    if (!result.taken) this.refusals++;
    await this.late;
    return result;
  }
}

/** Lets go on what waits for nothing. */
export const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 20));
