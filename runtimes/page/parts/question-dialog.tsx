import { useEffect, useRef, useState } from "preact/hooks";
import type { Actions, Question } from "../live/actions.ts";
import { words } from "../words.ts";
import { Button } from "./button.tsx";

/** Asks before an action. The browser keeps the focus inside, and Escape closes it. */
export function QuestionDialog({ actions }: { readonly actions: Actions }) {
  const question = actions.question.value;
  return question ? (
    <OpenDialog key={question.action.key + question.title} question={question} actions={actions} />
  ) : null;
}

function OpenDialog({ question, actions }: { readonly question: Question; readonly actions: Actions }) {
  const t = words.value;
  const root = useRef<HTMLDialogElement>(null);
  const [typed, setTyped] = useState("");
  const [chosen, choose] = useState<string | undefined>(undefined);
  const { title, text, lines = [], verb, isDangerous, word, choice } = question;
  const action = choice && chosen !== undefined ? choice.actionOf(chosen) : question.action;
  useEffect(() => root.current?.showModal(), []);
  const close = () => (actions.question.value = undefined);
  const isReady = word === undefined || typed === word;
  const act = () => {
    if (!isReady) return;
    close();
    void actions.run(action);
  };
  return (
    <dialog ref={root} onClose={close} aria-labelledby="question">
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault();
          act();
        }}
      >
        <h2 id="question">{title}</h2>
        {lines.length > 0 && (
          <ul class="lines">
            {lines.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        )}
        <p>{text}</p>
        {choice && (
          <label>
            {choice.label}
            <select onChange={(event) => choose(event.currentTarget.value)}>
              {choice.options.map(({ value, label }) => (
                <option key={value} value={value}>
                  {label}
                </option>
              ))}
            </select>
          </label>
        )}
        {word !== undefined && (
          <label>
            {t.confirm.type(word)}
            <input
              autocomplete="off"
              spellcheck={false}
              value={typed}
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          </label>
        )}
        <details class="command">
          <summary>{t.confirm.command}</summary>
          <code>{action.curl}</code>
        </details>
        <div class="row end">
          <Button onClick={() => root.current?.close()}>{t.act.cancel}</Button>
          <button type="submit" class={isDangerous ? "danger" : "filled"} disabled={!isReady}>
            {verb}
          </button>
        </div>
      </form>
    </dialog>
  );
}
