/** What a caller may touch, and see. */
export interface Scope {
  readonly apps: readonly number[] | "all";
  /** Also the device as a whole: its power, the host's configuration and journal, its tags, its target state. */
  readonly device: boolean;
  /** Values that may be secrets: all of them, those of its own applications, or none. */
  readonly secrets: "all" | "own" | "none";
}

/** Who sends a request, as its credential or the transport that it came by has shown. */
export interface Principal {
  readonly scope: Scope;
  /** The key that was sent. */
  readonly key?: string | undefined;
}

export const everything: Scope = { apps: "all", device: true, secrets: "all" };

export const covers = ({ apps }: Scope, appId: number): boolean => apps === "all" || apps.includes(appId);
