/** What every command of `fairlead` gets. */
export type Environment = Readonly<Record<string, string | undefined>>;
/** Writes to standard output. */
export type Print = (text: string) => void;
/** Gives the exit status; nothing is 0. Throws `SettingsError` for what the user can change. */
export type RunCommand = (args: readonly string[], environment: Environment, print: Print) => Promise<number | void>;
