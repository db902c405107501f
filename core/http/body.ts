import { parseForm } from "./form.ts";
import { messageOf } from "../model/show.ts";

/** A request's body, or why there is none: the status and the sentence to answer with. */
export type Body = Read | Refused;
interface Read {
  readonly ok: true;
  /** Undefined is a body of a type that nobody looks at. */
  readonly value: unknown;
  readonly contentType: string;
}
interface Refused {
  readonly ok: false;
  readonly status: 400 | 413 | 415 | 503;
  readonly message: string;
}

/** For an endpoint that does not say otherwise. */
export const usualLimitBytes = 64 * 1024;
/** Of a form; each field costs far more memory than its letters. */
const limitFields = 1000;
/** Of JSON, lists and objects included: each costs far more memory than its letters. Real target states have some thousands. */
const limitValues = 20_000;
/** A walk over more levels than any body of ours has overflows the stack. */
const limitLevels = 100;
/** Of more than the usual size, at once. */
const limitLarge = 2;

const no = (status: Refused["status"], message: string): Refused => ({ ok: false, status, message });

/** The media type of a request's body in lower case, without its parameters; "" for none. */
export const mediaTypeOf = (headers: Headers): string => splitContentType(headers)[0];

function splitContentType(headers: Headers): [type: string, ...parameters: string[]] {
  const [type = "", ...parameters] = (headers.get("content-type") ?? "").split(";").map((part) => part.trim());
  return [type.toLowerCase(), ...parameters];
}

interface BodyOptions {
  /** Once it is unpacked. */
  readonly limitBytes?: number | undefined;
  /** Absent: any number of large bodies may arrive at once. */
  readonly largeBodies?: LargeBodies | undefined;
}

/** JSON or a form; an empty one is `{}`. */
export async function readBody(request: Request, options: BodyOptions = {}): Promise<Body> {
  const [contentType, ...parameters] = splitContentType(request.headers);
  const isJson = contentType === "application/json";
  if (!isJson && contentType !== "application/x-www-form-urlencoded")
    return { ok: true, value: contentType ? undefined : {}, contentType };

  const charset =
    parameters
      .find((part) => /^charset=/i.test(part))
      ?.slice("charset=".length)
      .replace(/^"|"$/g, "") ?? "utf-8";
  if (!/^utf-?8$/i.test(charset)) return no(415, `unsupported charset "${charset.toUpperCase()}", expected UTF-8`);
  const text = await readText(request, isJson ? jsonOutline() : () => undefined, options);
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
  if (typeof value !== "object" || value === null)
    return no(400, `Malformed JSON: expected an object, but got ${text.trim().slice(0, 40)}`);
  return { ok: true, value, contentType };
}

/** Looks at the next bytes of a body, and says why it is refused, if it is. */
type Inspect = (bytes: Uint8Array) => Refused | undefined;

/**
 * Counts values and levels while the text arrives. Parsing comes too late for that: ten megabytes of `{}` are half a
 * gigabyte of objects. In UTF-8, the bytes of these marks are part of no other character.
 */
function jsonOutline(): Inspect {
  let values = 0;
  let levels = 0;
  let inText = false;
  let isEscaped = false;
  return (bytes) => {
    for (let n = 0; n < bytes.length; n++) {
      const byte = bytes[n];
      if (inText) {
        if (isEscaped) isEscaped = false;
        else if (byte === backslash) isEscaped = true;
        else if (byte === quote) inText = false;
      } else if (byte === quote) inText = true;
      else if (byte === comma) values++;
      else if (byte === openBrace || byte === openBracket) {
        values++;
        levels++;
        if (levels > limitLevels)
          return no(400, `Malformed JSON: expected at most ${limitLevels} levels in each other`);
      } else if (byte === closeBrace || byte === closeBracket) levels--;
      if (values > limitValues)
        return no(413, `request entity too large, expected JSON of at most ${limitValues} values`);
    }
    return undefined;
  };
}

const [quote, backslash, comma, openBrace, closeBrace, openBracket, closeBracket] = new TextEncoder().encode(
  '"\\,{}[]',
);

/** Counts the large bodies that arrive, however slowly each does. */
export class LargeBodies {
  #arriving = 0;

  begin(): Refused | undefined {
    if (this.#arriving >= limitLarge)
      return no(
        503,
        `expected at most ${limitLarge} bodies of more than ${usualLimitBytes} bytes at once; try again soon`,
      );
    this.#arriving++;
    return undefined;
  }

  end(): void {
    this.#arriving--;
  }
}

async function readText(
  request: Request,
  inspect: Inspect,
  { limitBytes = usualLimitBytes, largeBodies }: BodyOptions,
): Promise<string | Refused> {
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
  let refused: Refused | undefined;
  let isLarge = false;
  try {
    for await (const chunk of plain) {
      size += chunk.byteLength;
      if (size > limitBytes) return tooLarge;
      if (size > usualLimitBytes && !isLarge) {
        const tooMany = largeBodies?.begin();
        if (tooMany) return tooMany;
        isLarge = true;
      }
      // What is refused is read to its end all the same: many clients look for an answer only once they have sent all.
      refused ??= inspect(chunk);
      text = refused ? "" : text + decoder.decode(chunk, { stream: true });
    }
  } catch {
    return no(400, `The body could not be read to its end${encoding === "identity" ? "" : `, or is no ${encoding}`}`);
  } finally {
    if (isLarge) largeBodies?.end();
  }
  return refused ?? text + decoder.decode();
}
