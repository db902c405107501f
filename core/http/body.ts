import { parse as parseForm } from "picoquery";

/** A request's body, or why there is none: the status and the sentence to answer with. */
export type Body =
  | { readonly ok: true; readonly value: unknown; readonly contentType: string }
  | { readonly ok: false; readonly status: 400 | 413 | 415; readonly message: string };

const limitBytes = 10 * 1024 * 1024;

const no = (status: 400 | 413 | 415, message: string): Body => ({ ok: false, status, message });

/** JSON or a form, up to 10 MB; of any other type, or without a body, `{}`. */
export async function readBody(request: Request): Promise<Body> {
  const [type = "", ...parameters] = (request.headers.get("content-type") ?? "").split(";").map((part) => part.trim());
  const contentType = type.toLowerCase();
  const isJson = contentType === "application/json";
  if (!isJson && contentType !== "application/x-www-form-urlencoded") return { ok: true, value: {}, contentType };

  const charset =
    parameters
      .find((part) => /^charset=/i.test(part))
      ?.slice("charset=".length)
      .replace(/^"|"$/g, "") ?? "utf-8";
  if (!/^utf-?8$/i.test(charset)) return no(415, `unsupported charset "${charset.toUpperCase()}", expected UTF-8`);
  const text = await readText(request);
  if (typeof text !== "string") return text;
  if (text.trim() === "") return { ok: true, value: {}, contentType };
  return isJson ? parseJson(text, contentType) : { ok: true, value: parseForm(text, formSyntax), contentType };
}

/** `network[hostname]=x`, as the original reads forms. */
const formSyntax = { nesting: true, nestingSyntax: "js", arrayRepeat: true, arrayRepeatSyntax: "bracket" } as const;

function parseJson(text: string, contentType: string): Body {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return { ok: true, value, contentType };
    return no(400, `Malformed JSON: expected an object, but got ${text.slice(0, 40)}`);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return no(400, `Malformed JSON: ${message}${/position|line/.test(message) ? "" : ` at position ${text.length}`}`);
  }
}

async function readText(request: Request): Promise<string | Body> {
  const encoding = (request.headers.get("content-encoding") ?? "identity").toLowerCase();
  if (encoding !== "identity" && encoding !== "gzip" && encoding !== "deflate")
    return no(415, `unsupported content encoding "${encoding}", expected gzip, deflate or none`);
  const tooLarge = no(413, `request entity too large, expected at most ${limitBytes} bytes`);
  if (Number(request.headers.get("content-length") ?? 0) > limitBytes) return tooLarge;
  if (!request.body) return "";
  const plain = encoding === "identity" ? request.body : request.body.pipeThrough(new DecompressionStream(encoding));
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  try {
    for await (const chunk of plain) {
      size += chunk.byteLength;
      if (size > limitBytes) return tooLarge;
      text += decoder.decode(chunk, { stream: true });
    }
  } catch {
    return no(400, `The body could not be read to its end${encoding === "identity" ? "" : `, or is no ${encoding}`}`);
  }
  return text + decoder.decode();
}
