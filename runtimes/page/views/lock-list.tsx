import { ActionButton, Button } from "../parts/button.tsx";
import { Mark } from "../parts/mark.tsx";
import { Moment } from "../parts/since.tsx";
import { words } from "../words.ts";
import { useDevice } from "./context.ts";
import { useAnswer } from "./use-answer.ts";

/** Who holds up updates, until when, and what for. */
export function LockList() {
  const { store, can, actions } = useDevice();
  const t = words.value.update;
  const { value, fault } = useAnswer(
    () => store.client.locks(),
    [store.state.value, store.events.value, actions.pending.value],
  );
  const nameOf = (appId: number) => store.state.value?.apps.find((app) => app.appId === appId)?.name ?? String(appId);
  const locks = value?.locks ?? [];
  const sentences = locks.map(({ appId, service, owner, reason }) =>
    [`${nameOf(appId)}${service === undefined ? "" : ` ${service}`}: ${t.heldBy(owner)}`, reason]
      .filter(Boolean)
      .join(", "),
  );
  return (
    <section>
      <div class="head">
        <h2>{t.locks}</h2>
        {locks.some(({ held }) => held !== "agent") && (
          <Button disabled={!store.mayAct.value} onClick={() => actions.ask(can.askForce(sentences))}>
            {words.value.act.force} …
          </Button>
        )}
      </div>
      {fault !== undefined && <p class="fault">{fault}</p>}
      {value && locks.length === 0 && <p class="faint">{t.noLocks}</p>}
      {locks.length > 0 && (
        <table class="cards">
          <tbody>
            {locks.map(({ id, expiresAt, held }, n) => (
              <tr key={id ?? n}>
                <th scope="row">
                  <Mark is="waiting" />
                  {sentences[n]}
                </th>
                <td>{expiresAt === undefined ? held === "file" && t.file : <Moment at={Date.parse(expiresAt)} />}</td>
                <td class="row end">
                  {id !== undefined && (
                    <ActionButton action={can.releaseLock(id)}>{words.value.act.release}</ActionButton>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
