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

const permissions = ["write", "secrets", "manage", "shell"] as const;

/** Tokens, for who may manage: what each may, until when, and a new one. */
export function TokensScreen({ fleet }: { readonly fleet: Fleet }) {
  const { admin, actions, fleets } = useFleets();
  const count = useSignal(0);
  const { value: tokens, fault } = useAnswer(() => admin.tokens(), [count.value]);
  const t = fleetWords.value.tokens;
  const revoke = (tokenId: string, name: string) =>
    actions.ask({
      ...{ title: `${t.revoke}: ${name}`, text: t.revokeText, verb: t.revoke, isDangerous: true, word: name },
      action: {
        key: `revoke ${tokenId}`,
        label: `${t.revoke}: ${name}`,
        send: async () => {
          await admin.revokeToken({ params: { tokenId } });
          count.value++;
        },
        curl: toCurl(wires.revokeToken, { params: { tokenId }, origin: location.origin, hasKey: true }),
      },
    });
  const nameOf = (id: number) => fleets.find((one) => one.id === id)?.name ?? String(id);
  const isOver = (at: string | null) => at !== null && Date.parse(at) <= Date.now();
  return (
    <div class="screen">
      <section>
        <h2>{t.title}</h2>
        {fault !== undefined && <p class="fault">{fault}</p>}
        {tokens?.length === 0 && <p class="faint">{t.none}</p>}
        {tokens && tokens.length > 0 && (
          <table class="cards stacked">
            <Columns names={[t.name, t.may, t.fleets, t.ends]} />
            <tbody>
              {tokens.toReversed().map((token) => (
                <tr key={token.id}>
                  <th scope="row">
                    {token.name} <small>{token.id}</small>
                  </th>
                  <td data-name={t.may}>
                    {[t.read, ...permissions.filter((one) => token[one]).map((one) => t.permissions[one])].join(", ")}
                  </td>
                  <td data-name={t.fleets}>
                    {token.fleets === "all" ? t.allFleets : token.fleets.map(nameOf).join(", ")}
                  </td>
                  <td data-name={t.ends}>
                    {token.revokedAt !== null || isOver(token.expiresAt) ? (
                      t.ended
                    ) : token.expiresAt === null ? (
                      t.never
                    ) : (
                      <Moment at={Date.parse(token.expiresAt)} />
                    )}
                  </td>
                  <td class="row">
                    {token.revokedAt === null && !isOver(token.expiresAt) && (
                      <Button onClick={() => revoke(token.id, token.name)} label={`${t.revoke}: ${token.name}`}>
                        {t.revoke} …
                      </Button>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </section>
      <NewToken fleet={fleet} onMade={() => count.value++} />
    </div>
  );
}

function NewToken({ fleet, onMade }: { readonly fleet: Fleet; readonly onMade: () => void }) {
  const { admin, who } = useFleets();
  const typed = useSignal({ name: "", days: "90", everywhere: false });
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  const made = useSignal<string | undefined>(undefined);
  const t = fleetWords.value.tokens;
  const { name, days, everywhere } = typed.value;
  const make: Action = {
    key: "make a token",
    label: t.make,
    send: async () => {
      const given = Object.fromEntries(permissions.map((one) => [one, chosen.value.has(one)]));
      const body = { name, lifetimeDays: Number(days), fleets: everywhere ? ("all" as const) : [fleet.id], ...given };
      made.value = (await admin.createToken({ body })).token;
      typed.value = { name: "", days: "90", everywhere: false };
      onMade();
    },
    curl: "",
    done: "",
  };
  const toggle = (one: string) => {
    const next = new Set(chosen.value);
    if (!next.delete(one)) next.add(one);
    chosen.value = next;
  };
  return (
    <section class="form">
      <h2>{t.create}</h2>
      <label>
        {t.name}
        <input
          value={name}
          maxLength={100}
          autocomplete="off"
          onInput={(event) => (typed.value = { ...typed.value, name: event.currentTarget.value })}
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
      <fieldset class="checks">
        <legend>{t.may}</legend>
        {permissions
          .filter((one) => who[one])
          .map((one) => (
            <label key={one}>
              <input type="checkbox" checked={chosen.value.has(one)} onChange={() => toggle(one)} />{" "}
              {t.permissions[one]}
            </label>
          ))}
      </fieldset>
      {who.fleets === "all" && (
        <label>
          {t.fleets}
          <select
            value={everywhere ? "all" : "this"}
            onChange={(event) => (typed.value = { ...typed.value, everywhere: event.currentTarget.value === "all" })}
          >
            <option value="this">
              {t.thisFleet}: {fleet.name}
            </option>
            <option value="all">{t.allFleets}</option>
          </select>
        </label>
      )}
      <div class="row">
        <FleetButton action={make} disabled={name.trim() === "" || !(Number(days) > 0)}>
          {t.make}
        </FleetButton>
      </div>
      {made.value !== undefined && <Once text={made.value} note={t.once} />}
    </section>
  );
}
