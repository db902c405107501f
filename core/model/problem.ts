/** What can be wrong with a service, an application or the device. */
export const problemKinds = [
  /** The container ends again and again, and the engine restarts it. */
  "crashLoop",
  /** A program that runs once has ended with an exit code other than 0. */
  "exited",
  "unhealthy",
  "imageNotFound",
  "registryRefused",
  /** The image cannot be downloaded for another reason, such as a registry that does not answer. */
  "imageUnavailable",
  "wrongArchitecture",
  "portTaken",
  "diskFull",
  /** A service holds its update lock. */
  "locked",
  /** The engine or the machine refuses a step. */
  "refused",
  /** The release asks for something that this device does not have or forbids. */
  "rejected",
] as const;
export type ProblemKind = (typeof problemKinds)[number];

/** For people. */
export const problemNames: Readonly<Record<ProblemKind, string>> = {
  crashLoop: "crash loop",
  exited: "failed",
  unhealthy: "unhealthy",
  imageNotFound: "image not found",
  registryRefused: "registry refuses",
  imageUnavailable: "image not available",
  wrongArchitecture: "wrong architecture",
  portTaken: "port taken",
  diskFull: "disk full",
  locked: "update lock",
  refused: "refused",
  rejected: "release rejected",
};

/** Something that is wrong now. It disappears when its cause does. */
export interface Problem {
  /** Absent: the problem concerns the device as a whole. */
  readonly appId?: number;
  /** The application's uuid, as in state reports. */
  readonly app?: string;
  readonly service?: string;
  readonly kind: ProblemKind;
  /** One line without secrets. It may quote the engine, or the last line of a container's log. */
  readonly message: string;
  /** When it was first found, as ISO 8601. It stays the same while the problem goes on, even if the message changes. */
  readonly since: string;
}

/** The limits of a list of problems, and of a message in UTF-16 code units. */
export const mostProblems = 20;
export const longestMessage = 300;

/** A text as one line of limited length, without control characters. */
export function toMessage(text: string): string {
  // Colours of terminals leave nothing behind.
  const line = text
    .replace(/\u001b\[[\d;]*m/g, "")
    .replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, " ")
    .trim();
  return line.length > longestMessage ? `${line.slice(0, longestMessage - 1)}…` : line;
}
