/** The number of simulated lives in `npm run test:fast`; `npm test` has 2000. */
export const fastSeeds = 20;

/** Slow files of the project "anywhere" that `npm run test:fast` skips: they start programs, use real time or search. */
export const leftOut = [
  "regular-expressions.test.ts",
  "api/fuzz.test.ts",
  "cloud/{agent,update}.test.ts",
  "packaging/**",
  "generated/**",
  "node/{agent,agent-*,cloud-cli,doctor,embedded-host,guard,join,state-folder}.test.ts",
  "../examples/**",
];

/** Prints once what is skipped. */
export default function setup(): void {
  process.stdout.write(
    `Fast tests. Left out: tests on Docker, workerd, boards and systemd, ${leftOut.join(", ")}, and all but ${fastSeeds} lives of the simulation (npm test has everything)\n`,
  );
}
