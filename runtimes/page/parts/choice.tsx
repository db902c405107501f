interface Option {
  readonly name: string;
  readonly isChosen: boolean;
  readonly choose: () => void;
}

/** Buttons of which one is chosen. */
export const Choice = ({ label, options }: { readonly label: string; readonly options: readonly Option[] }) => (
  <div class="choice" role="group" aria-label={label}>
    {options.map(({ name, isChosen, choose }, n) => (
      <button key={n} type="button" aria-pressed={isChosen} onClick={choose}>
        {name}
      </button>
    ))}
  </div>
);
