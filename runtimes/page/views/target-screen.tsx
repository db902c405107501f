import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { whyOf } from "../live/actions.ts";
import { checkTarget, parseTarget, placeOf, type Checked } from "../live/target-text.ts";
import { Button } from "../parts/button.tsx";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";
import { PlanTable } from "./plan-table.tsx";
import { useAnswer } from "./use-answer.ts";

const pauseMs = 400;

/** The target state as text, with what the device says about it beside it. Only what was checked can be applied. */
export function TargetScreen() {
  const { store } = useDevice();
  const stored = useAnswer(() => store.client.targetState(), [store]);
  const t = words.value.target;
  if (stored.fault !== undefined) return <p class="fault">{stored.fault}</p>;
  if (!stored.value) return <p class="faint">{words.value.reading}</p>;
  const { name, config, apps } = stored.value.state.local;
  // What is edited most comes first.
  const text = `${JSON.stringify({ local: { name, apps, config } }, undefined, 2)}\n`;
  if (config["SUPERVISOR_LOCAL_MODE"] !== "true")
    return (
      <div class="screen">
        <section>
          <h2>{t.title}</h2>
          <p>{t.managed}</p>
          <pre tabIndex={0}>
            <code>{text}</code>
          </pre>
        </section>
      </div>
    );
  return (
    <div class="screen">
      <section>
        <h2>{t.title}</h2>
        <p class="faint">{t.text}</p>
      </section>
      <Editor stored={text} />
    </div>
  );
}

function Editor({ stored }: { readonly stored: string }) {
  const { store, actions } = useDevice();
  const t = words.value.target;
  const applied = useSignal(stored);
  const text = useSignal(stored);
  /** With the text that it is about. */
  const checked = useSignal<{ readonly text: string; readonly result: Checked } | undefined>(undefined);
  const warnings = useSignal<readonly string[]>([]);
  const field = useRef<HTMLTextAreaElement>(null);
  const parsed = parseTarget(text.value);

  useEffect(() => {
    const now = text.value;
    if (!parsed.ok || now === applied.value) return;
    const timer = setTimeout(() => {
      const current = (store.state.peek()?.apps ?? []).map(({ appId, name }) => ({ appId, name }));
      void checkTarget(store.client, parsed.value, current).then((result) => (checked.value = { text: now, result }));
    }, pauseMs);
    return () => clearTimeout(timer);
  }, [text.value, applied.value]);

  const isSame = text.value === applied.value;
  const result = checked.value?.text === text.value ? checked.value.result : undefined;
  const apply = async () => {
    if (!parsed.ok || result?.is !== "accepted") return;
    try {
      const answer = await store.client.setTargetState({ body: parsed.value });
      warnings.value = answer.warnings ?? [];
      applied.value = text.value;
      actions.say(t.applied);
    } catch (error) {
      actions.say(words.value.done.failed(t.apply, whyOf(error)), true);
    }
  };
  const goTo = (at: number) => {
    field.current?.focus();
    field.current?.setSelectionRange(at, at + 1);
  };

  return (
    <>
      <div class="columns editor">
        <label>
          <span class="hidden">{t.field}</span>
          <textarea
            ref={field}
            spellcheck={false}
            rows={22}
            value={text.value}
            onInput={(event) => (text.value = event.currentTarget.value)}
          />
        </label>
        <div class="screen" role="status">
          {!parsed.ok ? (
            <p class="fault">
              <Button kind="quiet" onClick={() => goTo(parsed.at)}>
                {t.json(placeOf(text.value, parsed.at).line, placeOf(text.value, parsed.at).column, parsed.why)}
              </Button>
            </p>
          ) : isSame ? (
            <p class="faint">{t.same}</p>
          ) : result === undefined ? (
            <p class="faint">{t.checking}</p>
          ) : result.is === "refused" ? (
            <section>
              <h3>{t.faults}</h3>
              <ul class="lines fault">
                {result.faults.map((fault) => (
                  <li key={fault}>{fault}</li>
                ))}
              </ul>
            </section>
          ) : (
            <p class="good">{t.noFaults}</p>
          )}
          {warnings.value.length > 0 && (
            <section>
              <h3>{t.warnings}</h3>
              <ul class="lines">
                {warnings.value.map((warning) => (
                  <li key={warning}>{warning}</li>
                ))}
              </ul>
            </section>
          )}
          <div class="row">
            <Button
              kind="filled"
              disabled={result?.is !== "accepted" || !store.mayAct.value}
              onClick={() => void apply()}
            >
              {t.apply}
            </Button>
            {!isSame && <Button onClick={() => (text.value = applied.value)}>{t.reset}</Button>}
          </div>
        </div>
      </div>
      {result?.is === "accepted" &&
        result.plans.map(({ name, plan }) => (
          <section key={name}>
            <h3>{t.plan(name)}</h3>
            <PlanTable plan={plan} />
            {plan.waitsFor.map((reason) => (
              <p key={reason} class="faint">
                {words.value.update.waitsFor}: {reason}
              </p>
            ))}
          </section>
        ))}
    </>
  );
}
