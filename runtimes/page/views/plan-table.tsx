import type { DeviceClient } from "../../../core/client/index.ts";
import { bytes, withShortImages } from "../format.ts";
import { words } from "../words.ts";

export type Plan = Awaited<ReturnType<DeviceClient["plan"]>>;
type Difference = Plan["services"][number]["differences"][number];

/** What an update changes: each part, why, and which fields differ. */
export function PlanTable({ plan }: { readonly plan: Plan }) {
  const t = words.value.update;
  const parts = [
    ...plan.services.map((one) => ({ ...one, name: one.service, kind: "" })),
    ...plan.networks.map((one) => ({ ...one, kind: t.networks, downloadBytes: 0 })),
    ...plan.volumes.map((one) => ({ ...one, kind: t.volumes, downloadBytes: 0 })),
  ];
  const changes = parts.filter(({ action }) => action !== "keep");
  if (changes.length === 0) return <p class="faint">{t.nothing}</p>;
  return (
    <table class="cards">
      <thead>
        <tr>
          <th scope="col">{words.value.device.service}</th>
          <th scope="col">{t.action}</th>
          <th scope="col">{t.change}</th>
          <th scope="col">{t.download}</th>
        </tr>
      </thead>
      <tbody>
        {changes.map(({ kind, name, action, why, differences, downloadBytes }) => (
          <tr key={`${kind} ${name}`}>
            <th scope="row">
              {kind} {name}
            </th>
            <td>{t.actions[action] ?? action}</td>
            <td>{differences.length > 0 ? <Differences list={differences} /> : why}</td>
            <td>
              {downloadBytes === null ? t.unknown : downloadBytes > 0 ? bytes(downloadBytes) : kind === "" && t.here}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const Differences = ({ list }: { readonly list: readonly Difference[] }) => (
  <ul class="diff">
    {list.map(({ field, from, to }) => (
      <li key={field}>
        <code>
          {field}: {from === undefined && to === undefined ? words.value.update.hidden : <Change from={from} to={to} />}
        </code>
      </li>
    ))}
  </ul>
);

const Change = ({ from, to }: { readonly from: string | undefined; readonly to: string | undefined }) => (
  <>
    {from !== undefined && <del>{withShortImages(from)}</del>}
    {from !== undefined && to !== undefined && " → "}
    {to !== undefined && <ins>{withShortImages(to)}</ins>}
  </>
);
