import { useSignal, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { whyOf } from "../live/actions.ts";
import { checkCompose, checkTarget, parseTarget, placeOf, type Checked } from "../live/target-text.ts";
import { Button } from "../parts/button.tsx";
import { Choice } from "../parts/choice.tsx";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";
import { PlanTable } from "./plan-table.tsx";
import { useAnswer } from "./use-answer.ts";

const pauseMs = 400;

const toText = (target: object): string => `${JSON.stringify(target, undefined, 2)}\n`;

/** The target state as text, with what the device says about it beside it. Only what was checked can be applied. */
export function TargetScreen() {
  const { store } = useDevice();
  const stored = useAnswer(() => store.client.targetState(), [store]);
  const t = words.value.target;
  if (stored.fault !== undefined) return <p class="fault">{stored.fault}</p>;
  if (!stored.value) return <p class="faint">{words.value.reading}</p>;
  const { name, config, apps } = stored.value.state.local;
  // What is edited most comes first.
  const text = toText({ local: { name, apps, config } });
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

type Form = "json" | "compose";

function Editor({ stored }: { readonly stored: string }) {
  const { store, actions } = useDevice();
  const t = words.value.target;
  const form = useSignal<Form>("json");
  const json = useSignal(stored);
  const compose = useSignal("");
  const project = useSignal("");
  const isJson = form.value === "json";
  /** What is written now, and what of it the device has. */
  const written = isJson ? json.value : JSON.stringify([compose.value, project.value]);
  const applied = useSignal<Readonly<Record<Form, string>>>({ json: stored, compose: JSON.stringify(["", ""]) });
  /** With what it is about. */
  const checked = useSignal<{ readonly written: string; readonly result: Checked } | undefined>(undefined);
  const remarks = useSignal<readonly string[]>([]);
  const parsed = parseTarget(json.value);
  const isSame = written === applied.value[form.value];

  useEffect(() => {
    if (isSame || (isJson && !parsed.ok)) return;
    const timer = setTimeout(() => {
      const current = (store.state.peek()?.apps ?? []).map(({ appId, name }) => ({ appId, name }));
      const asked =
        isJson && parsed.ok
          ? checkTarget(store.client, parsed.value, current)
          : checkCompose(store.client, { compose: compose.value, project: project.value.trim() }, current);
      void asked.then((result) => (checked.value = { written, result }));
    }, pauseMs);
    return () => clearTimeout(timer);
  }, [written, isSame]);

  const result = !isSame && checked.value?.written === written ? checked.value.result : undefined;
  const apply = async () => {
    if (result?.is !== "accepted") return;
    try {
      const answer = await store.client.setTargetState({ body: result.body });
      remarks.value = [...new Set([...result.warnings, ...(answer.warnings ?? [])])];
      json.value = isJson ? written : toText(result.body);
      applied.value = { ...applied.value, json: json.value, [form.value]: written };
      actions.say(t.applied);
    } catch (error) {
      actions.say(words.value.done.failed(t.apply, whyOf(error)), true);
    }
  };
  const reset = () => {
    if (isJson) json.value = applied.value.json;
    else compose.value = project.value = "";
  };

  return (
    <>
      <Choice
        label={t.form}
        options={[
          { name: t.asJson, isChosen: isJson, choose: () => (form.value = "json") },
          { name: t.asCompose, isChosen: !isJson, choose: () => (form.value = "compose") },
        ]}
      />
      <div class="columns editor">
        {isJson ? (
          <TextField key="json" label={t.field} text={json} fault={parsed.ok ? undefined : parsed} />
        ) : (
          <div class="screen" key="compose">
            <label>
              {t.project}
              <input
                value={project.value}
                placeholder={t.projectHelp}
                spellcheck={false}
                onInput={(event) => (project.value = event.currentTarget.value)}
              />
            </label>
            <TextField label={t.composeField} text={compose} />
          </div>
        )}
        <div class="screen" role="status">
          {isJson && !parsed.ok ? null : isSame ? (
            <p class="faint">{isJson || compose.value !== "" ? t.same : t.composeText}</p>
          ) : result === undefined ? (
            <p class="faint">{t.checking}</p>
          ) : result.is === "refused" ? (
            <Sentences title={t.faults} lines={result.faults} kind="fault" />
          ) : (
            <p class="good">{t.noFaults}</p>
          )}
          <Sentences title={t.warnings} lines={result?.is === "accepted" ? result.warnings : remarks.value} />
          <div class="row">
            <Button
              kind="filled"
              disabled={result?.is !== "accepted" || !store.mayAct.value}
              onClick={() => void apply()}
            >
              {t.apply}
            </Button>
            {!isSame && <Button onClick={reset}>{t.reset}</Button>}
          </div>
        </div>
      </div>
      {result?.is === "accepted" && !isJson && (
        <details>
          <summary>{t.becomes}</summary>
          <pre tabIndex={0}>
            <code>{toText(result.body)}</code>
          </pre>
        </details>
      )}
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

/** A text, and below it where it is wrong: a button that goes there. */
function TextField({
  label,
  text,
  fault,
}: {
  readonly label: string;
  readonly text: Signal<string>;
  readonly fault?: { readonly at: number; readonly why: string } | undefined;
}) {
  const field = useRef<HTMLTextAreaElement>(null);
  const goTo = (at: number) => {
    field.current?.focus();
    field.current?.setSelectionRange(at, at + 1);
  };
  const place = fault && placeOf(text.value, fault.at);
  return (
    <div class="screen">
      <label>
        <span class="hidden">{label}</span>
        <textarea
          ref={field}
          spellcheck={false}
          rows={22}
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
      </label>
      {fault && place && (
        <p class="fault" role="status">
          <Button kind="quiet" onClick={() => goTo(fault.at)}>
            {words.value.target.json(place.line, place.column, fault.why)}
          </Button>
        </p>
      )}
    </div>
  );
}

const Sentences = ({
  title,
  lines,
  kind = "",
}: {
  readonly title: string;
  readonly lines: readonly string[];
  readonly kind?: string;
}) =>
  lines.length === 0 ? null : (
    <section>
      <h3>{title}</h3>
      <ul class={`lines ${kind}`}>
        {lines.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
    </section>
  );
