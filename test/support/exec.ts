import * as z from "zod";
import { ExecFrame } from "../../core/api/device/exec.ts";

/** Sends one request to a device's API, over any transport. */
export type SendExec = (method: string, path: string, body?: object) => Promise<Response>;

const Opened = z.object({ id: z.string(), expiresAt: z.string() });

/** A session in the service `web` of application 1, or another. */
export async function openExec(send: SendExec, body: object = {}, path = "/v3/apps/1/services/web/exec") {
  const response = await send("POST", path, body);
  if (response.status !== 201) throw new Error(`${response.status}: ${await response.text()}`);
  const { id, expiresAt } = Opened.parse(await response.json());
  const base = `/v3/exec/${id}`;
  return {
    id,
    expiresAt,
    read: async () => readFrames(await send("GET", `${base}/output`)),
    type: async (text: string, more: object = {}) =>
      (await send("POST", `${base}/input`, { data: Buffer.from(text, "latin1").toString("base64"), ...more })).status,
    input: (body: object) => send("POST", `${base}/input`, body),
    resize: (size: object) => send("POST", `${base}/resize`, size),
    end: () => send("DELETE", base),
  };
}

/** A reader of the output: the text so far, as latin1. */
export function readFrames(response: Response) {
  const reader = response.body?.getReader();
  if (response.status !== 200 || !reader) throw new Error(`Status ${response.status}`);
  const text = { stdout: "", stderr: "" };
  let rest = "";
  let last: ExecFrame | undefined;
  /** False at the end. */
  const next = async (): Promise<boolean> => {
    const { value, done } = await reader.read();
    if (done) return false;
    const lines = (rest + new TextDecoder().decode(value)).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      last = ExecFrame.parse(JSON.parse(line));
      if ("stdout" in last) text.stdout += Buffer.from(last.stdout, "base64").toString("latin1");
      if ("stderr" in last) text.stderr += Buffer.from(last.stderr, "base64").toString("latin1");
    }
    return true;
  };
  return {
    text,
    until: async (wanted: string) => {
      while (!text.stdout.includes(wanted)) if (!(await next())) throw new Error(`It has ended: ${text.stdout}`);
    },
    /** The last frame. */
    toEnd: async () => {
      while (await next());
      return last;
    },
    leave: () => reader.cancel(),
  };
}
