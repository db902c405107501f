import { useSignal } from "@preact/signals";
import { administration as wires } from "../../../core/client/wires.ts";
import { toCurl, type Action, type Question } from "../live/actions.ts";
import { Button } from "../parts/button.tsx";
import { words } from "../words.ts";
import { useAnswer } from "../views/use-answer.ts";
import { FleetButton } from "./action-button.tsx";
import { useFleets, type Fleet, type Variable } from "./context.ts";
import { fleetWords } from "./words.ts";

interface Row {
  readonly name: string;
  readonly service: string | null;
  readonly fleet: boolean;
  readonly device: boolean;
}

const here = { origin: location.origin, hasKey: true };

/** Those of the fleet and, side by side, those of a device. */
function toRows(ofFleet: readonly Variable[], ofDevice: readonly Variable[]): readonly Row[] {
  const keyOf = ({ name, service }: Pick<Variable, "name" | "service">) => JSON.stringify([name, service]);
  const [fleet, device] = [new Set(ofFleet.map(keyOf)), new Set(ofDevice.map(keyOf))];
  const all = new Map([...ofFleet, ...ofDevice].map((one) => [keyOf(one), one]));
  return [...all]
    .map(([key, { name, service }]) => ({ name, service, fleet: fleet.has(key), device: device.has(key) }))
    .sort((a, b) => a.name.localeCompare(b.name) || (a.service ?? "").localeCompare(b.service ?? ""));
}

/** The names of variables, who wins, and a form to set one. Values are never shown. */
export function VariablesScreen({ fleet, uuid }: { readonly fleet: Fleet; readonly uuid: string | undefined }) {
  const { admin, actions, who } = useFleets();
  const count = useSignal(0);
  const { value, fault } = useAnswer(
    async () => ({
      ofFleet: await admin.fleetVariables({ params: { fleetId: fleet.id } }),
      ofDevice: uuid === undefined ? [] : await admin.deviceVariables({ params: { uuid } }),
      device: uuid === undefined ? undefined : await admin.device({ params: { uuid } }),
      services: (await admin.releases({ params: { fleetId: fleet.id, limit: 1 } }))[0]?.services ?? [],
    }),
    [fleet.id, uuid, count.value],
  );
  const t = fleetWords.value.variables;
  if (fault !== undefined) return <p class="fault">{fault}</p>;
  if (!value) return <p class="faint">{words.value.reading}</p>;
  const rows = toRows(value.ofFleet, value.ofDevice);
  const askRemove = ({ name, service }: Row, of: "fleet" | "device"): Question => {
    const more = service === null ? {} : { service };
    const action: Action = {
      key: `remove ${of} ${service} ${name}`,
      label: t.remove(name),
      send: async () => {
        if (of === "fleet") await admin.deleteFleetVariable({ params: { fleetId: fleet.id, name, ...more } });
        else await admin.deleteDeviceVariable({ params: { uuid: uuid ?? "", name, ...more } });
        count.value++;
      },
      curl:
        of === "fleet"
          ? toCurl(wires.deleteFleetVariable, { params: { fleetId: fleet.id, name, ...more }, ...here })
          : toCurl(wires.deleteDeviceVariable, { params: { uuid, name, ...more }, ...here }),
    };
    const title = `${t.remove(name)} (${of === "fleet" ? t.ofFleet : t.ofDevice})`;
    return { title, text: t.removeText, verb: t.remove(name), isDangerous: true, action };
  };
  const cell = (row: Row, of: "fleet" | "device") =>
    row[of] && (
      <span class="row">
        {of === "device" && row.fleet ? t.wins : t.set}
        {who.write && (
          <Button
            kind="quiet"
            label={`${t.remove(row.name)} (${of === "fleet" ? t.ofFleet : t.ofDevice})`}
            onClick={() => actions.ask(askRemove(row, of))}
          >
            ✕
          </Button>
        )}
      </span>
    );
  return (
    <div class="screen">
      <section>
        <h2>
          {t.title}
          {value.device && `: ${value.device.name}`}
        </h2>
        <p class="faint">{t.text}</p>
        {rows.length === 0 ? (
          <p>{t.none}</p>
        ) : (
          <table class="cards">
            <thead>
              <tr>
                <th scope="col">{t.name}</th>
                <th scope="col">{t.service}</th>
                <th scope="col">{t.fleet}</th>
                {uuid !== undefined && <th scope="col">{t.device}</th>}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={`${row.service} ${row.name}`}>
                  <th scope="row">
                    <code>{row.name}</code>
                  </th>
                  <td>{row.service ?? t.all}</td>
                  <td data-name={t.fleet}>{cell(row, "fleet")}</td>
                  {uuid !== undefined && <td data-name={t.device}>{cell(row, "device")}</td>}
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </section>
      {who.write && <NewVariable fleet={fleet} uuid={uuid} services={value.services} onSet={() => count.value++} />}
    </div>
  );
}

function NewVariable({
  fleet,
  uuid,
  services,
  onSet,
}: {
  readonly fleet: Fleet;
  readonly uuid: string | undefined;
  readonly services: readonly string[];
  readonly onSet: () => void;
}) {
  const { admin } = useFleets();
  const typed = useSignal({ name: "", value: "", service: "" });
  const t = fleetWords.value.variables;
  const { name, value, service } = typed.value;
  const set = (field: keyof typeof typed.value) => (event: { readonly currentTarget: { readonly value: string } }) =>
    (typed.value = { ...typed.value, [field]: event.currentTarget.value });
  const save: Action = {
    key: "set a variable",
    label: `${t.save}: ${name}`,
    send: async () => {
      const body = { variables: { [name]: value }, ...(service !== "" && { service }) };
      if (uuid === undefined) await admin.setFleetVariables({ params: { fleetId: fleet.id }, body });
      else await admin.setDeviceVariables({ params: { uuid }, body });
      typed.value = { name: "", value: "", service: "" };
      onSet();
    },
    curl: "",
  };
  return (
    <section class="form">
      <h2>{uuid === undefined ? `${t.add} (${t.ofFleet})` : `${t.add} (${t.ofDevice})`}</h2>
      <label>
        {t.name}
        <input value={name} maxLength={255} spellcheck={false} autocomplete="off" onInput={set("name")} />
      </label>
      <label>
        {t.value}
        <input value={value} spellcheck={false} autocomplete="off" onInput={set("value")} />
      </label>
      <label>
        {t.service}
        <select value={service} onChange={set("service")}>
          <option value="">{t.all}</option>
          {services.map((one) => (
            <option key={one} value={one}>
              {one}
            </option>
          ))}
        </select>
      </label>
      <div class="row">
        <FleetButton action={save} disabled={name === ""}>
          {t.save}
        </FleetButton>
      </div>
    </section>
  );
}
