import { parseForm } from "./form.ts";
import { messageOf } from "../model/show.ts";

/** A request's body, or why there is none: the status and the sentence to answer with. */
export type Body = Read | Refused;
interface Read {
  readonly ok: true;
  /** Undefined: the body is of a type that is not read. */
  readonly value: unknown;
  readonly contentType: string;
}
interface Refused {
  readonly ok: false;
  readonly status: 400 | 413 | 415 | 503;
  readonly message: string;
}

/** For an endpoint without a limit of its own. */
export const usualLimitBytes = 64 * 1024;
/** Of a form. A field needs far more memory than its text. */
const limitFields = 1000;
/** Of JSON, lists and objects included. A value needs far more memory than its text; real target states have some thousands. */
const limitValues = 20_000;
/** Recursion over very deep JSON overflows the stack. */
const limitLevels = 100;
/** Bodies of more than the usual size that may arrive at once. */
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
    // The JavaScript engine names the position, except where the text ends too early.
    return no(
      400,
      `Malformed JSON: ${message}${message.endsWith("end of JSON input") ? ` at position ${text.length}` : ""}`,
    );
  }
  if (typeof value !== "object" || value === null)
    return no(400, `Malformed JSON: expected an object, but got ${text.trim().slice(0, 40)}`);
  return { ok: true, value, contentType };
}

/** Inspects the next bytes of a body; returns the refusal, if it is refused. */
type Inspect = (bytes: Uint8Array) => Refused | undefined;

/**
 * Counts values and levels while the text arrives, since parsing needs the memory already: ten megabytes of `{}` become
 * half a gigabyte of objects. In UTF-8, the bytes of these characters are part of no other character.
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

/** Counts the large bodies that are arriving. */
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
      // A refused body is read to its end: many clients read the answer only after they have sent everything.
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
