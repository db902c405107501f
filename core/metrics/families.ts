import { counter, gauge, info, type Family } from "./family.ts";

const service = ["app_id", "service"] as const;

/** About the agent itself. */
export const ofAgent = {
  build: info("fairlead_build_info", "What runs here", "version", "engine"),
  started: gauge("process_start_time_seconds", "When the agent's process started, since the epoch"),
  cpu: counter("process_cpu_seconds_total", "Processor time of the agent's process"),
  resident: gauge("process_resident_memory_bytes", "Memory of the agent's process"),
  heap: gauge("fairlead_heap_used_bytes", "Memory that the agent's JavaScript values use"),
  loopLag: gauge("fairlead_event_loop_lag_seconds", "How late the agent's event loop was at this reading"),
  loopBusy: counter("fairlead_event_loop_busy_seconds_total", "How long the agent's event loop has run code"),
  settled: gauge("fairlead_settled", "1 when the target state is reached, 0 while there are steps or waits"),
  passes: counter("fairlead_loop_passes_total", "Rounds of the loop: observe, plan, apply"),
  passFailures: counter("fairlead_loop_pass_failures_total", "Rounds that could not observe the engine"),
  steps: counter("fairlead_steps_total", "Steps that were applied, by how they ended", "action", "outcome"),
  backoffs: counter("fairlead_backoffs_total", "Failures after which the agent waits before it tries again"),
  retries: counter("fairlead_retries_total", "Tries after such a wait"),
  waiting: gauge("fairlead_backoff_subjects", "Applications, and the device, whose last try has failed"),
  events: counter("fairlead_events_total", "Events by kind, see docs/events.md", "kind", "level"),
  downloads: counter("fairlead_image_downloads_total", "Downloads of images that have ended", "outcome"),
  downloading: gauge("fairlead_image_downloads_running", "Downloads of images that run now"),
  engineUp: gauge("fairlead_engine_up", "1 while the engine answers"),
  calls: {
    name: "fairlead_engine_call_duration_seconds",
    type: "histogram",
    help: "Calls of the engine by operation; look may be answered from what the engine's events have told",
    labels: ["operation"],
  },
  callFailures: counter("fairlead_engine_call_failures_total", "Calls that the engine refused", "operation"),
  reached: gauge("fairlead_cloud_last_contact_timestamp_seconds", "When the cloud answered last; absent: never"),
  tunnel: gauge("fairlead_tunnel_connected", "1 while the tunnel to the cloud is connected; absent without a tunnel"),
  problems: gauge("fairlead_problems", "What is wrong now, see docs/problems.md", ...service, "kind"),
} as const satisfies Readonly<Record<string, Family>>;

/** About the machine. A value that it does not have is absent. */
export const ofHost = {
  cpu: counter("fairlead_host_cpu_seconds_total", "Time of all cores since the machine's start", "mode"),
  memorySize: gauge("fairlead_host_memory_size_bytes", "The machine's memory"),
  memory: gauge("fairlead_host_memory_used_bytes", "Memory in use that the kernel cannot reclaim"),
  storageSize: gauge(
    "fairlead_host_storage_size_bytes",
    "The file system of images and volumes, the fullest of several",
  ),
  storage: gauge("fairlead_host_storage_used_bytes", "How much of it is used"),
  temperature: gauge("fairlead_host_cpu_temperature_celsius", "Temperature of the processor"),
  undervolted: gauge("fairlead_host_undervolted", "1 while the power supply is too weak (Raspberry Pi)"),
  booted: gauge("fairlead_host_boot_time_seconds", "When the machine started, since the epoch"),
} as const satisfies Readonly<Record<string, Family>>;

/** About the applications of the target state and their services, from the last round. */
export const ofApps = {
  app: info(
    "fairlead_app_info",
    "An application; running: the release whose containers run",
    ...["app_id", "app", "release", "running"],
  ),
  updateStatus: gauge("fairlead_app_update_status", "1 for the status of the update, else 0", "app_id", "status"),
  onTarget: gauge("fairlead_app_on_target", "1 when the application has reached its target release", "app_id"),
  state: gauge("fairlead_service_state", "1 for the state of the service's container, else 0", ...service, "state"),
  health: gauge("fairlead_service_health", "1 for the result of its healthcheck, else 0", ...service, "health"),
  restarts: counter(
    "fairlead_service_restarts_total",
    "Restarts by the engine since the container's last start on request",
    ...service,
  ),
  started: gauge("fairlead_service_start_time_seconds", "When the container started last, since the epoch", ...service),
  exitCode: gauge("fairlead_service_exit_code", "Of a container that has ended", ...service),
  download: gauge("fairlead_service_download_ratio", "Progress while the image is downloaded", ...service),
} as const satisfies Readonly<Record<string, Family>>;

/** What running services use: measured by the engine, only on request. */
export const ofUse = {
  cpu: gauge("fairlead_service_cpu_cores", "Cores that the service uses: 0.5 is half of one", ...service),
  memory: gauge("fairlead_service_memory_used_bytes", "Memory without what the kernel can reclaim", ...service),
  memoryLimit: gauge("fairlead_service_memory_limit_bytes", "The service's limit, or the machine's memory", ...service),
  received: counter("fairlead_service_network_received_bytes_total", "Bytes received since its start", ...service),
  sent: counter("fairlead_service_network_sent_bytes_total", "Bytes sent since its start", ...service),
  read: counter("fairlead_service_disk_read_bytes_total", "Bytes read since its start", ...service),
  written: counter("fairlead_service_disk_written_bytes_total", "Bytes written since its start", ...service),
  processes: gauge("fairlead_service_processes", "Processes and threads of the service", ...service),
} as const satisfies Readonly<Record<string, Family>>;
