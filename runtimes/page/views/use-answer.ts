import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { whyOf } from "../live/actions.ts";

export interface Answered<T> {
  readonly value?: T;
  readonly fault?: string;
}

/** A device that changes quickly is not asked again with each change. */
const pauseMs = 300;

/** What the device answers, asked again when one of `causes` changes. Until then the last answer stays. */
export function useAnswer<T>(ask: () => Promise<T>, causes: readonly unknown[]): Answered<T> {
  const answered = useSignal<Answered<T>>({});
  const counts = useRef({ asked: 0, kept: 0, isLeft: false });
  useEffect(() => () => void (counts.current.isLeft = true), []);
  useEffect(() => {
    const count = counts.current;
    const keep = (n: number, one: Answered<T>) => {
      if (count.isLeft || n < count.kept) return;
      count.kept = n;
      answered.value = one;
    };
    const start = () => {
      const n = ++count.asked;
      void ask().then(
        (value) => keep(n, { value }),
        (error: unknown) => keep(n, { fault: whyOf(error) }),
      );
    };
    const timer = setTimeout(start, count.asked === 0 ? 0 : pauseMs);
    return () => clearTimeout(timer);
  }, causes);
  return answered.value;
}
