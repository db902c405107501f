import { defineConfig } from "vitest/config";
import { fastSeeds, leftOut } from "./support/fast-setup.ts";

const timeouts = { testTimeout: 30_000, hookTimeout: 120_000 };

const anywhere = {
  include: ["**/*.test.ts", "../examples/**/*.test.ts"],
  exclude: [
    "**/node_modules/**",
    "conformance/engine.test.ts",
    "engine/**",
    "boards/**",
    "host/**",
    "page/**",
    "worker/**",
  ],
  ...timeouts,
};

/** `--mode fast`: what says within a minute whether a change is right. */
const fast = {
  name: "fast",
  ...anywhere,
  exclude: [...anywhere.exclude, ...leftOut],
  env: { SEEDS: String(fastSeeds) },
};

export default defineConfig(({ mode }) => ({
  test: {
    root: import.meta.dirname,
    globalSetup: mode === "fast" ? "support/fast-setup.ts" : "support/global-setup.ts",
    // One more than vitest takes by itself: its own process has little to do.
    maxWorkers: "100%",
    // Only `npm run coverage` asks for it, and `npm run coverage:planner`, which insists.
    coverage: {
      include:
        mode === "planner"
          ? ["../core/reconcile/{plan*,gate,judge-gates}.ts"]
          : ["../{core,hardware,runtimes}/**/*.ts"],
      allowExternal: true,
      reporter: ["text"],
      ...(mode === "planner" && { thresholds: { statements: 100, branches: 100, functions: 100, lines: 100 } }),
    },
    projects:
      mode === "fast"
        ? [{ test: fast }]
        : [
            { test: { name: "anywhere", ...anywhere } },
            {
              // There is one engine, and an agent on it takes care of everything that it finds there.
              test: {
                name: "engine",
                include: ["conformance/engine.test.ts", "engine/**/*.test.ts"],
                fileParallelism: false,
                ...timeouts,
                // A busy machine starts a container in seconds.
                testTimeout: 120_000,
              },
            },
            {
              // Each file starts a workerd of its own, and that has threads enough.
              test: { name: "workerd", include: ["worker/**/*.test.ts"], fileParallelism: false, ...timeouts },
            },
            {
              // Boards with engines of their own, and one cloud for all of them.
              test: { name: "boards", include: ["boards/**/*.test.ts"], fileParallelism: false, ...timeouts },
            },
            {
              // Each file starts a browser, which takes what a small machine has.
              test: { name: "page", include: ["page/**/*.test.ts"], fileParallelism: false, ...timeouts },
            },
            {
              // Machines with a real systemd, one at a time: they boot, and reboot.
              test: {
                name: "host",
                include: ["host/**/*.test.ts"],
                fileParallelism: false,
                testTimeout: 120_000,
                hookTimeout: 120_000,
              },
            },
          ],
  },
}));
