import type { BootSettings } from "../model/boot-config.ts";

/** The board's boot loader. Each kind of board has its own: config.txt, extlinux.conf, extra_uEnv.txt. */
export interface BootConfig {
  /** The prefix of the config variables for this boot loader, such as `HOST_CONFIG_`. */
  readonly prefix: string;
  /** Keys that only the operating system may set. */
  readonly forbidden: readonly string[];
  /** The settings that the agent has written. */
  read(): Promise<BootSettings>;
  /** Replaces these settings with effect from the next boot. Settings from other sources stay. */
  write(settings: BootSettings): Promise<void>;
}
