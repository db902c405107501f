import type { BootSettings } from "../model/boot-config.ts";

/** The board's boot loader. Each kind of board has its own: config.txt, extlinux.conf, extra_uEnv.txt. */
export interface BootConfig {
  /** Config variables that begin like this are for it: `HOST_CONFIG_`. */
  readonly prefix: string;
  /** Keys that are the operating system's business. */
  readonly forbidden: readonly string[];
  /** What it has been told by us. */
  read(): Promise<BootSettings>;
  /** Takes effect with the next boot. What others have told it stays. */
  write(settings: BootSettings): Promise<void>;
}
