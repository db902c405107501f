import type { RunningOperation } from "../api/once.ts";
import { parseJson } from "../model/json.ts";
import type { KeptAnswer, WithoutBody } from "../model/kept-request.ts";

export interface ShownOperation {
  readonly id: string;
  readonly name: string;
  readonly state: RunningOperation["state"];
  readonly isWaiting: boolean;
  readonly startedAt: number;
  readonly endedAt?: number | undefined;
  readonly answer?: KeptAnswer | WithoutBody | undefined;
}

export function showOperation({
  id,
  name,
  state,
  isWaiting,
  startedAt,
  endedAt,
  answer,
}: ShownOperation): RunningOperation {
  return {
    ...{ id, request: name, state, cancellable: isWaiting, startedAt: new Date(startedAt).toISOString() },
    ...(endedAt !== undefined && { endedAt: new Date(endedAt).toISOString() }),
    ...(answer && { answer: showAnswer(answer) }),
    ...(state === "failed" && !answer && { why: "It was interrupted, and may have acted" }),
    ...(answer && "without" in answer && { why: `The answer was too ${answer.without}` }),
  };
}

/** JSON as a value, all else as a text. */
function showAnswer(answer: KeptAnswer | WithoutBody): NonNullable<RunningOperation["answer"]> {
  const { status } = answer;
  if ("without" in answer || answer.body === null) return { status };
  const contentType = answer.headers.find(([name]) => name === "content-type")?.[1];
  const json = contentType !== undefined && /^application\/(problem\+)?json/.test(contentType);
  return {
    status,
    ...(contentType !== undefined && { contentType }),
    body: json ? parseJson(answer.body) : answer.body,
  };
}
