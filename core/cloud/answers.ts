import { redact } from "../model/secrets.ts";
import { messageOf } from "../model/show.ts";
import type { Cloud, CloudAnswer } from "../ports/cloud.ts";

/** Why a question was not answered, and how long the cloud wants to be left alone, if it says so. */
export interface Setback {
  readonly why: string;
  readonly retryAfterMs?: number | undefined;
}

const longestWaitMs = 24 * 3600_000;

/** `Retry-After` in seconds, the form that clouds of this kind send; a date, or anything else, says nothing. */
export function retryAfterMs({ header }: Pick<CloudAnswer, "header">): number | undefined {
  const value = header("retry-after")?.trim();
  return value && /^\d+$/.test(value) ? Math.min(Number(value) * 1000, longestWaitMs) : undefined;
}

/** An answer that is no answer to the question: it failed, or there are too many questions. */
export const setback = (answer: CloudAnswer): Setback => ({
  why: [`it answered ${answer.status}`, ...sentence(answer.text)].join(": "),
  retryAfterMs: retryAfterMs(answer),
});

/** Pages of HTML are for browsers. */
const sentence = (text: string): string[] => (/^[^<\s][^\n]{0,200}$/.test(text.trim()) ? [text.trim()] : []);

/** Statuses after which the same question may be answered another time: the cloud is not well, or has too much to do. */
export const isPassing = (status: number): boolean => status === 429 || status === 408 || status >= 500;

/**
 * The same cloud, whose refusals and failures do not repeat the keys that it was sent: they end up in logs. What it
 * answers to what it has taken is left as it is, since that is where keys come from.
 */
export const withoutKeys =
  (ask: Cloud): Cloud =>
  async (request, signal) => {
    const inBody = [...(request.body ?? "").matchAll(/"api_(?:key|secret)":"([^"]+)"/g)];
    const secrets = [request.key, ...inBody.map(([, key = ""]) => key)];
    try {
      const answer = await ask(request, signal);
      return answer.status < 300 ? answer : { ...answer, text: redact(answer.text, { secrets }) };
    } catch (error) {
      throw new Error(redact(messageOf(error), { secrets }));
    }
  };
