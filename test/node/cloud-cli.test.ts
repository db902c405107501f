import { expect, test } from "vitest";
import { cloudCommand } from "../../runtimes/cli/cloud/cloud.ts";

test.each([
  ["no such command", ["environment", "set", "TOKEN=hunter2"], 'There is no command "environment set TOKEN=(hidden)"'],
  ["words that are missing", ["env", "set", "TOKEN=hunter2"], 'but got "env set TOKEN=(hidden)"'],
])("%s: the error repeats the command without the values of variables", async (_, words, said) => {
  const command = cloudCommand(words, {}, () => undefined);
  await expect(command).rejects.toThrow(said);
  await expect(command).rejects.not.toThrow("hunter2");
});
