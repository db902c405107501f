import * as z from "zod";
import { longestMessage, mostProblems, problemKinds } from "../model/problem.ts";

/** Something that is wrong on a device now. */
export const Problem = z.object({
  appId: z.int().optional().describe("Absent: it concerns the device as a whole"),
  app: z.string().optional().describe("The uuid of the application"),
  service: z.string().optional(),
  kind: z.enum(problemKinds),
  message: z
    .string()
    .describe("One line without secrets; it may quote the engine, or the last line of a container's log"),
  since: z.string().describe("When it was first found, as ISO 8601"),
});

const cutTo = (length: number) => z.string().transform((text) => text.slice(0, length));

/** As a device reports it. Newer agents may have more kinds. */
export const ReportedProblem = z.object({
  appId: z.int().optional(),
  app: cutTo(100).optional(),
  service: cutTo(255).optional(),
  kind: cutTo(50),
  message: cutTo(longestMessage),
  since: z.iso.datetime(),
});
export type ReportedProblem = z.output<typeof ReportedProblem>;

export const ReportedProblems = z
  .array(ReportedProblem)
  .max(mostProblems, { error: `expected at most ${mostProblems} problems` });
