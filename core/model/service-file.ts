/** A config or a secret of compose: a file that a service's container has read-only. */
export interface ServiceFile {
  /** The path in the container. */
  readonly target: string;
  /** The name of the stored file. Another content, owner or mode has another id. It does not reveal the content. */
  readonly id: string;
}

export interface FileContent {
  readonly content: string;
  readonly encoding: "utf8" | "base64";
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}
