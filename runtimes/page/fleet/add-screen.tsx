import { useSignal } from "@preact/signals";
import { administration as wires } from "../../../core/client/wires.ts";
import { toCurl, type Action } from "../live/actions.ts";
import { Button } from "../parts/button.tsx";
import { Columns } from "../parts/columns.tsx";
import { Moment } from "../parts/since.tsx";
import { useAnswer } from "../views/use-answer.ts";
import { FleetButton, Once } from "./action-button.tsx";
import { useFleets, type Fleet } from "./context.ts";
import { fleetWords } from "./words.ts";

const here = { origin: location.origin, hasKey: true };

/** A key for devices that join the fleet, and the line to paste on them. */
export function AddScreen({ fleet }: { readonly fleet: Fleet }) {
  const { admin, actions, who } = useFleets();
  const typed = useSignal({ uses: "1", days: "7" });
  const made = useSignal<string | undefined>(undefined);
  const count = useSignal(0);
  const { value: keys, fault } = useAnswer(
    () => admin.provisioningKeys({ params: { fleetId: fleet.id } }),
    [fleet.id, count.value],
  );
  const t = fleetWords.value.add;
  const { uses, days } = typed.value;
  const make: Action = {
    key: "make a key",
    label: t.make,
    send: async () => {
      const body = { lifetimeDays: Number(days), ...(uses !== "" && { uses: Number(uses) }) };
      made.value = (await admin.createProvisioningKey({ params: { fleetId: fleet.id }, body })).key;
      count.value++;
    },
    curl: "",
    done: "",
  };
  const remove = (id: number, name: string) => {
    const params = { fleetId: fleet.id, keyId: id };
    actions.ask({
      ...{ title: t.remove(name), text: t.removeText, verb: t.remove(name), isDangerous: true },
      action: {
        key: `remove key ${id}`,
        label: t.remove(name),
        send: async () => {
          await admin.deleteProvisioningKey({ params });
          count.value++;
        },
        curl: toCurl(wires.deleteProvisioningKey, { params, ...here }),
      },
    });
  };
  return (
    <div class="screen">
      <section class="form">
        <h2>{t.title}</h2>
        {!who.manage ? (
          <p>{t.may}</p>
        ) : (
          <>
            <p class="faint">{t.text}</p>
            <div class="pair">
              <label>
                {t.uses}
                <input
                  type="number"
                  min={1}
                  value={uses}
                  placeholder={t.noLimit}
                  onInput={(event) => (typed.value = { ...typed.value, uses: event.currentTarget.value })}
                />
              </label>
              <label>
                {t.days}
                <input
                  type="number"
                  min={1}
                  value={days}
                  onInput={(event) => (typed.value = { ...typed.value, days: event.currentTarget.value })}
                />
              </label>
            </div>
            <div class="row">
              <FleetButton action={make} kind="filled" disabled={!(Number(days) > 0)}>
                {t.make}
              </FleetButton>
            </div>
          </>
        )}
      </section>
      {made.value !== undefined && (
        <section>
          <p>{t.line}</p>
          <Once
            text={`sudo fairlead join ${location.origin} --key ${made.value} && sudo systemctl restart fairlead`}
            note={t.once}
          />
        </section>
      )}
      <section>
        <h2>{t.keys}</h2>
        {fault !== undefined && <p class="fault">{fault}</p>}
        {keys?.length === 0 && <p class="faint">{t.none}</p>}
        {keys && keys.length > 0 && (
          <table class="cards">
            <Columns names={[t.name, t.left, t.ends]} />
            <tbody>
              {keys.map(({ id, name, usesLeft, expiresAt }) => (
                <tr key={id}>
                  <th scope="row">{name}</th>
                  <td data-name={t.left}>{usesLeft ?? t.noLimit}</td>
                  <td data-name={t.ends}>
                    {expiresAt === null ? fleetWords.value.tokens.never : <Moment at={Date.parse(expiresAt)} />}
                  </td>
                  <td class="row">
                    {who.manage && (
                      <Button kind="quiet" label={t.remove(name)} onClick={() => remove(id, name)}>
                        ✕
                      </Button>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </section>
    </div>
  );
}
