import { fstatSync } from "node:fs";
import { styleText } from "node:util";
import type { EventLevel } from "../../core/model/event.ts";
import { shortenIds } from "../../core/model/show.ts";
import type { Log, LogFields } from "../../core/ports/log.ts";
import type { Settings } from "./settings.ts";

interface Line {
  readonly at: Date;
  readonly level: EventLevel;
  readonly message: string;
  readonly fields: LogFields;
}

interface Output extends NodeJS.WritableStream {
  readonly fd: number;
  readonly isTTY?: boolean;
}

interface Process {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Writes `info` to standard output, the rest to standard error: for a terminal, the journal of systemd, a file, or as JSON. */
export function createConsoleLog(format: Settings["logFormat"], { stdout, stderr, env }: Process = process): Log {
  const to = (output: Output, level: EventLevel) => {
    const show = format === "json" ? toJson : isJournal(output, env) ? toJournal : output.isTTY ? toTerminal : toText;
    return (message: string, fields: LogFields = {}) =>
      void output.write(`${show({ at: new Date(), level, message: shortenIds(message), fields }, output)}\n`);
  };
  return { error: to(stderr, "error"), warn: to(stderr, "warn"), info: to(stdout, "info") };
}

/** systemd.exec(5): the variable names the device and inode of the journal's socket. Programs may redirect one stream. */
export function isJournal({ fd }: Pick<Output, "fd">, { JOURNAL_STREAM: journal }: Process["env"]): boolean {
  if (!journal) return false;
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return journal === `${dev}:${ino}`;
}

/** sd-daemon(3). */
export const priorities: Readonly<Record<EventLevel, string>> = { error: "<3>", warn: "<4>", info: "<6>" };

/** The journal adds the time. */
const toJournal = (line: Line): string => priorities[line.level] + toSentence(line);

const toText = (line: Line): string => `${line.at.toISOString()} ${line.level} ${toSentence(line)}`;

const colours = { error: "red", warn: "yellow", info: "cyan" } as const;

function toTerminal(line: Line, stream: Output): string {
  const time = styleText("dim", line.at.toTimeString().slice(0, 8), { stream });
  return `${time} ${styleText(colours[line.level], line.level.padEnd(5), { stream })} ${toSentence(line)}`;
}

/** The names of an event's fields are those of `core/model/event.ts`. Other lines have the kind `agent`. */
function toJson({ at, level, message, fields: { kind = "agent", appId, service, ...fields } }: Line): string {
  return JSON.stringify({ time: at.toISOString(), level, kind, appId, service, message, ...fields });
}

/** On one line and without control characters: engines, registries and requests write parts of sentences. */
function toSentence({ message, fields: { appId, service } }: Line): string {
  const about = [...(appId === undefined ? [] : [`app ${appId}`]), ...(service === undefined ? [] : [service])].join(
    " ",
  );
  const isNamed = about === "" || message.toLowerCase().startsWith(about);
  return `${isNamed ? "" : `${about}: `}${message}`.trimEnd().replace(unprintable, escape);
}

const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

const escape = (character: string): string =>
  character === "\n" ? "\\n" : `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`;
