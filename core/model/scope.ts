/** What a principal may read and change. */
export interface Scope {
  readonly apps: readonly number[] | "all";
  /** Whether the scope includes the device: its power, host configuration, journal, tags and target state. */
  readonly device: boolean;
  /** Which values that may be secret are shown: all, those of its own applications, or none. */
  readonly secrets: "all" | "own" | "none";
  /** Whether it may run programs in containers. */
  readonly shell: boolean;
}

/** The sender of a request, identified by its credential or its transport. */
export interface Principal {
  readonly scope: Scope;
  /** The key that was sent. */
  readonly key?: string | undefined;
  /** The transport's name for it, such as a token's id. */
  readonly name?: string | undefined;
  /** The cloud relays the request. */
  readonly isRelayed?: boolean;
}

export const everything: Scope = { apps: "all", device: true, secrets: "all", shell: true };

export const covers = ({ apps }: Scope, appId: number): boolean => apps === "all" || apps.includes(appId);
