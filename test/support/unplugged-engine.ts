import { EmbeddedEngine } from "../../core/embedded/engine.ts";
import type { EngineState } from "../../core/ports/engine.ts";

/** An engine in memory that can be away. */
export class UnpluggedEngine extends EmbeddedEngine {
  isAway = false;
  override look(): Promise<EngineState> {
    return this.isAway ? Promise.reject(new Error("connect ENOENT /var/run/docker.sock")) : super.look();
  }
}
