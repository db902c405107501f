import type { LogLine } from "./log-lines.ts";

/** The lines of `GET /v3/logs`. */
export const toLines = (text: string): readonly LogLine[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => lineOf(JSON.parse(line)));

const lineOf = ({ timestamp, ...line }: Omit<LogLine, "at"> & { readonly timestamp: number }): LogLine => ({
  ...line,
  at: timestamp,
});

/** The same as people read them: time, service, message. */
export const toText = (text: string): string =>
  toLines(text)
    .map(({ at, service, message }) => `${new Date(at).toISOString()} ${service} ${message}\n`)
    .join("");

/** The browser saves it as it saves what is downloaded. */
export function saveFile(name: string, text: string): void {
  const link = document.createElement("a");
  link.download = name;
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.click();
  URL.revokeObjectURL(link.href);
}
