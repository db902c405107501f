/** The lines of `GET /v3/logs` as people read them: time, service, message. */
export function toText(lines: string): string {
  const read = lines.split("\n").filter((line) => line !== "");
  return read.map((line) => textOf(JSON.parse(line))).join("");
}

function textOf(line: { readonly timestamp: number; readonly service: string; readonly message: string }): string {
  return `${new Date(line.timestamp).toISOString()} ${line.service} ${line.message}\n`;
}

/** The browser saves it as it saves what is downloaded. */
export function saveFile(name: string, text: string): void {
  const link = document.createElement("a");
  link.download = name;
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.click();
  URL.revokeObjectURL(link.href);
}
