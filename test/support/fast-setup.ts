/** Lives of the simulation in `npm run test:fast`; `npm test` has 2000. */
export const fastSeeds = 20;

/** What `npm run test:fast` leaves out of the project "anywhere": files that start programs, wait for real time, or search for long. */
export const leftOut = [
  "regular-expressions.test.ts",
  "api/fuzz.test.ts",
  "cloud/{agent,update}.test.ts",
  "packaging/**",
  "node/{agent,agent-*,cloud-cli,doctor,embedded-host,guard,join,state-folder}.test.ts",
  "../examples/**",
];

/** Says so once. */
export default function setup(): void {
  process.stdout.write(
    `Fast tests. Left out: tests on Docker, workerd, boards and systemd, ${leftOut.join(", ")}, and all but ${fastSeeds} lives of the simulation (npm test has everything)\n`,
  );
}
