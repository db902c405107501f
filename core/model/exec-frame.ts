/** A line of the output of an exec session. Bytes are in base64; with a terminal, all of them are of `stdout`. */
export type ExecFrame =
  | { readonly stdout: string }
  | { readonly stderr: string }
  /**
   * The last line. `null`: the exit code is not known, since the program was cut off; `reason` then says why.
   */
  | { readonly exitCode: number | null; readonly reason?: string | undefined };
