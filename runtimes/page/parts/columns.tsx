import { words } from "../words.ts";

/** The head of a table whose last column has buttons. */
export const Columns = ({ names }: { readonly names: readonly string[] }) => (
  <thead>
    <tr>
      {names.map((name) => (
        <th key={name} scope="col">
          {name}
        </th>
      ))}
      <th scope="col">
        <span class="hidden">{words.value.device.actions}</span>
      </th>
    </tr>
  </thead>
);
