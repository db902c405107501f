import { expect, test } from "vitest";
import { fromStats, Stats } from "../../core/docker-api/stats.ts";

/** An answer of Docker 20.10 with cgroup v2, shortened. */
const answer = {
  read: "2026-11-29T10:00:01Z",
  pids_stats: { current: 3, limit: 100 },
  blkio_stats: {
    io_service_bytes_recursive: [
      { major: 8, minor: 0, op: "read", value: 4096 },
      { major: 8, minor: 0, op: "write", value: 8192 },
      { major: 8, minor: 16, op: "write", value: 1 },
    ],
    io_serviced_recursive: null,
  },
  cpu_stats: { cpu_usage: { total_usage: 3_000_000_000 }, system_cpu_usage: 104_000_000_000, online_cpus: 4 },
  precpu_stats: { cpu_usage: { total_usage: 2_500_000_000 }, system_cpu_usage: 100_000_000_000, online_cpus: 4 },
  memory_stats: { usage: 5000, limit: 100_000, stats: { inactive_file: 1000 } },
  networks: { eth0: { rx_bytes: 10, tx_bytes: 20, rx_packets: 1 }, eth1: { rx_bytes: 1, tx_bytes: 2 } },
};

const use = (more: object) => fromStats(Stats.parse({ ...answer, ...more }));

test("the use of a container is that of `docker stats`", () => {
  expect(use({})).toEqual({
    cpuPercent: 50,
    memoryBytes: 4000,
    memoryLimitBytes: 100_000,
    receivedBytes: 11,
    sentBytes: 22,
    readBytes: 4096,
    writtenBytes: 8193,
    processes: 3,
  });
});

test("cgroup v1 has other names", () => {
  expect(
    use({
      memory_stats: { usage: 5000, limit: 100_000, stats: { total_inactive_file: 2000 } },
      blkio_stats: { io_service_bytes_recursive: [{ op: "Read", value: 7 }] },
    }),
  ).toMatchObject({ memoryBytes: 3000, readBytes: 7, writtenBytes: 0 });
});

test("on the host's network nothing is counted, and a disk that was not used has no entries", () => {
  const without = use({ networks: undefined, blkio_stats: { io_service_bytes_recursive: null } });
  expect(without).toMatchObject({ receivedBytes: 0, sentBytes: 0, readBytes: 0, writtenBytes: 0 });
});

test("a container that does not run has no use", () => {
  const empty = { cpu_usage: { total_usage: 0 } };
  expect(
    use({ pids_stats: {}, memory_stats: {}, cpu_stats: empty, precpu_stats: empty, networks: undefined }),
  ).toBeUndefined();
});
