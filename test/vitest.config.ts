import { defineConfig } from "vitest/config";

const timeouts = { testTimeout: 30_000, hookTimeout: 120_000 };

export default defineConfig({
  test: {
    root: import.meta.dirname,
    globalSetup: "support/global-setup.ts",
    projects: [
      {
        test: {
          name: "anywhere",
          include: ["**/*.test.ts", "../examples/**/*.test.ts"],
          exclude: ["conformance/**", "engine/**", "host/**"],
          ...timeouts,
        },
      },
      {
        // There is one engine, and an agent on it takes care of everything that it finds there.
        test: {
          name: "engine",
          include: ["conformance/**/*.test.ts", "engine/**/*.test.ts"],
          fileParallelism: false,
          ...timeouts,
          // A busy machine starts a container in seconds.
          testTimeout: 120_000,
        },
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
