/** The environment variables of a command. */
export type Environment = Readonly<Record<string, string | undefined>>;
/** Writes to standard output. */
export type Print = (text: string) => void;
/** Resolves with the exit status; undefined means 0. Throws `SettingsError` for faults that the user can correct. */
export type RunCommand = (args: readonly string[], environment: Environment, print: Print) => Promise<number | void>;
