import { targetOfDevice } from "./releases.ts";

/** SQL: problems that end by themselves, or when somebody releases something. */
const waitingKinds = "('locked', 'imageUnavailable')";

const hasProblem = (condition: string): string =>
  `problems <> '[]' AND EXISTS (SELECT 1 FROM json_each(problems) WHERE value ->> '$.kind' ${condition})`;

/** SQL: the state of a row of `devices` while it is connected, which is that of its last report. */
export const reportedState = `CASE
  WHEN report ->> '$.update_status' IN ('rejected', 'aborted') OR ${hasProblem(`NOT IN ${waitingKinds}`)} THEN 'failing'
  WHEN ${hasProblem(`IN ${waitingKinds}`)} THEN 'waiting'
  WHEN ${targetOfDevice} IS NOT NULL AND (report ->> '$.update_status' IS NOT 'done' OR running_release_id IS NOT ${targetOfDevice})
    THEN 'updating'
  ELSE 'well' END`;
