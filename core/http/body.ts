import { parseForm } from "./form.ts";
import { messageOf } from "../model/show.ts";

/** A request's body, or why there is none: the status and the sentence to answer with. */
export type Body =
  /** Undefined is a body of a type that nobody looks at. */
  | { readonly ok: true; readonly value: unknown; readonly contentType: string }
  | { readonly ok: false; readonly status: 400 | 413 | 415; readonly message: string };

const largestBytes = 10 * 1024 * 1024;
/** Of a form; each field costs far more memory than its letters. */
const limitFields = 1000;
/** What is nested deeper than any body of ours breaks whoever walks through it. */
const limitLevels = 100;

const no = (status: 400 | 413 | 415, message: string): Body => ({ ok: false, status, message });

/** JSON or a form, of at most `limitBytes` once it is unpacked; an empty one is `{}`. */
export async function readBody(request: Request, { limitBytes = largestBytes } = {}): Promise<Body> {
  const [type = "", ...parameters] = (request.headers.get("content-type") ?? "").split(";").map((part) => part.trim());
  const contentType = type.toLowerCase();
  const isJson = contentType === "application/json";
  if (!isJson && contentType !== "application/x-www-form-urlencoded")
    return { ok: true, value: contentType ? undefined : {}, contentType };

  const charset =
    parameters
      .find((part) => /^charset=/i.test(part))
      ?.slice("charset=".length)
      .replace(/^"|"$/g, "") ?? "utf-8";
  if (!/^utf-?8$/i.test(charset)) return no(415, `unsupported charset "${charset.toUpperCase()}", expected UTF-8`);
  const text = await readText(request, limitBytes);
  if (typeof text !== "string") return text;
  if (text.trim() === "") return { ok: true, value: {}, contentType };
  if (isJson) return parseJson(text, contentType);
  if (text.split("&", limitFields + 1).length > limitFields)
    return no(413, `request entity too large, expected a form of at most ${limitFields} fields`);
  return { ok: true, value: parseForm(text), contentType };
}

function parseJson(text: string, contentType: string): Body {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const message = messageOf(error);
    // The engine tells where it stumbled, but for what ends too early.
    return no(
      400,
      `Malformed JSON: ${message}${message.endsWith("end of JSON input") ? ` at position ${text.length}` : ""}`,
    );
  }
  if (!isObject(value)) return no(400, `Malformed JSON: expected an object, but got ${text.trim().slice(0, 40)}`);
  if (isDeeper(value, limitLevels))
    return no(400, `Malformed JSON: expected at most ${limitLevels} levels in each other`);
  return { ok: true, value, contentType };
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

/** Level by level, since a walk that calls itself is what such a body breaks. */
function isDeeper(value: object, levels: number): boolean {
  let level = [value];
  for (let n = 0; n < levels && level.length > 0; n++)
    level = level.flatMap((one) => Object.values(one).filter(isObject));
  return level.length > 0;
}

async function readText(request: Request, limitBytes: number): Promise<string | Body> {
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
