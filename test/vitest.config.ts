import { defineConfig } from "vitest/config";

const timeouts = { testTimeout: 30_000, hookTimeout: 120_000 };

export default defineConfig({
  test: {
    root: import.meta.dirname,
    globalSetup: "support/global-setup.ts",
    // Only `npm run coverage:planner` asks for it.
    coverage: {
      include: ["../core/reconcile/{plan*,gate}.ts"],
      allowExternal: true,
      reporter: ["text"],
      thresholds: { statements: 100, branches: 100, functions: 100, lines: 100 },
    },
    projects: [
      {
        test: {
          name: "anywhere",
          include: ["**/*.test.ts", "../examples/**/*.test.ts"],
          exclude: ["conformance/engine.test.ts", "engine/**", "boards/**", "host/**", "worker/**"],
          ...timeouts,
        },
      },
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
});
