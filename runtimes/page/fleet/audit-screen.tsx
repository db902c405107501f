import { useSignal } from "@preact/signals";
import { Moment } from "../parts/since.tsx";
import { useAnswer } from "../views/use-answer.ts";
import { Button } from "../parts/button.tsx";
import { words } from "../words.ts";
import { useFleets, type Fleet } from "./context.ts";
import { fleetWords } from "./words.ts";

const atOnce = 100;

/** Who changed what, from where, and with which answer. */
export function AuditScreen({ fleet }: { readonly fleet: Fleet }) {
  const { admin } = useFleets();
  const before = useSignal<number | undefined>(undefined);
  const { value: entries, fault } = useAnswer(
    () =>
      admin.audit({
        params: { fleetId: fleet.id, limit: atOnce, ...(before.value !== undefined && { before: before.value }) },
      }),
    [fleet.id, before.value],
  );
  const t = fleetWords.value.audit;
  const last = entries?.at(-1);
  return (
    <div class="screen">
      <section>
        <h2>{t.title}</h2>
        {fault !== undefined && <p class="fault">{fault}</p>}
        {!entries && fault === undefined && <p class="faint">{words.value.reading}</p>}
        {entries?.length === 0 && <p class="faint">{t.none}</p>}
        {entries && entries.length > 0 && (
          <table class="cards stacked">
            <thead>
              <tr>
                <th scope="col">{t.at}</th>
                <th scope="col">{t.who}</th>
                <th scope="col">{t.what}</th>
                <th scope="col">{t.about}</th>
                <th scope="col">{t.status}</th>
              </tr>
            </thead>
            <tbody>
              {entries.map(({ id, at, who, name, operation, uuid, about, status, address }) => (
                <tr key={id}>
                  <td>
                    <Moment at={Date.parse(at)} />
                  </td>
                  <th scope="row">
                    {who === "admin" ? t.owner : (name ?? who)} {address !== null && <small>{address}</small>}
                  </th>
                  <td>
                    <code>{operation}</code>
                  </td>
                  <td>
                    {uuid !== null && <a href={`#/d/${uuid}/`}>{uuid.slice(0, 7)}</a>} {about}
                  </td>
                  <td>{status}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
        {entries?.length === atOnce && last && (
          <div class="row">
            <Button onClick={() => (before.value = last.id)}>{t.earlier}</Button>
          </div>
        )}
      </section>
    </div>
  );
}
