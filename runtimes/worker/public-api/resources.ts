import { isoTime } from "../database.ts";
import { progressOfDevice, targetOfDevice } from "../directory/releases.ts";

/** The directory's tables as the resources of the public cloud's API, version 7; and a query on them as SQL. */
export interface Resource {
  readonly from: string;
  readonly fields: Readonly<Record<string, Field>>;
  /** Fields with the id of a row of another resource. */
  readonly one: Readonly<Record<string, { readonly to: string; readonly by: string }>>;
  /** Rows of another resource that have the id of this one. */
  readonly many: Readonly<Record<string, { readonly of: string; readonly by: string }>>;
  /** SQL: the fleet that a row belongs to, and the device, if it belongs to one. */
  readonly fleet: string;
  readonly device?: string;
}

export type Field =
  | { readonly sql: string; readonly isBoolean?: true; readonly isSecret?: true }
  /** Known only to the device's session. */
  | { readonly live: (connection: Connection) => unknown };

/** What a device's session knows, and the directory. */
export interface Connection {
  readonly connected: boolean;
  /** Milliseconds since the epoch. */
  readonly since: number | undefined;
  readonly heardAt: string | null;
  readonly isUpdating: boolean;
}

/** A device that polls its target state every ten minutes, as configured, has done so within this time. */
const silentMs = 1.5 * 600_000 + 15_000;
const isAlive = ({ connected, heardAt }: Connection): boolean =>
  connected || (heardAt !== null && Date.now() - Date.parse(heardAt) < silentMs);

const column = (sql: string): Field => ({ sql });
const yes = (sql: string): Field => ({ sql, isBoolean: true });
const live = (of: (connection: Connection) => unknown): Field => ({ live: of });
const columns = (...names: readonly string[]): Record<string, Field> =>
  Object.fromEntries(names.map((name) => [name, column(name)]));
const reported = (...names: readonly string[]): Record<string, Field> =>
  Object.fromEntries(names.map((name) => [name, column(`report ->> '$.${name}'`)]));

const fleetOfDevice = "(SELECT fleet_id FROM devices WHERE id = device_id)";
const fleetOfService = "(SELECT fleet_id FROM services WHERE id = service_id)";

const variable = (kind: "config" | "env", owner: "device" | "application"): Resource => ({
  from: `(SELECT * FROM variables WHERE kind = '${kind}' AND service_id IS NULL
          AND ${owner === "device" ? "device_id" : "fleet_id"} IS NOT NULL)`,
  fields: {
    ...columns("id", "name", "created_at"),
    // Values for services cannot be read here: whoever set them knows them, and the device receives them with its target state.
    ...(kind === "config" && { value: { sql: "value", isSecret: true } }),
  },
  one: { [owner]: { to: owner, by: owner === "device" ? "device_id" : "fleet_id" } },
  many: {},
  fleet: owner === "device" ? fleetOfDevice : "fleet_id",
  ...(owner === "device" && { device: "device_id" }),
});

export const resources: Readonly<Record<string, Resource>> = {
  application: {
    from: "fleets",
    fields: {
      ...columns("id", "uuid", "created_at"),
      app_name: column("name"),
      slug: column("lower(replace(name, ' ', '-'))"),
      should_track_latest_release: yes("tracks_latest"),
      is_of__class: column("'fleet'"),
      is_host: yes("0"),
      is_archived: yes("0"),
      is_public: yes("0"),
    },
    one: {
      is_for__device_type: { to: "device_type", by: "device_type" },
      should_be_running__release: { to: "release", by: "release_id" },
    },
    many: {
      owns__device: { of: "device", by: "fleet_id" },
      owns__release: { of: "release", by: "fleet_id" },
      application_config_variable: { of: "application_config_variable", by: "fleet_id" },
      application_environment_variable: { of: "application_environment_variable", by: "fleet_id" },
    },
    fleet: "id",
  },
  device: {
    from: "devices",
    fields: {
      ...columns("id", "uuid", "note", "created_at", "supervisor_version", "os_version", "os_variant", "mac_address"),
      ...reported("status", "ip_address", "provisioning_progress", "provisioning_state", "cpu_id", "update_status"),
      ...reported("memory_usage", "memory_total", "storage_block_device", "storage_usage", "storage_total"),
      ...reported("cpu_temp", "cpu_usage"),
      is_undervolted: yes("ifnull(report ->> '$.is_undervolted', 0)"),
      device_name: column("name"),
      overall_progress: column(progressOfDevice),
      last_update_status_event: column("report ->> '$.update_status_at'"),
      // Devices are called through their tunnels.
      public_address: column("NULL"),
      is_active: yes("1"),
      is_frozen: yes("0"),
      // The cloud does not relay requests to a device's services.
      is_web_accessible: yes("0"),
      is_online: live(({ connected }) => connected),
      is_connected_to_vpn: live(({ connected }) => connected),
      last_connectivity_event: live(({ since, heardAt }) => (since === undefined ? heardAt : isoTime(since))),
      api_heartbeat_state: live((connection) =>
        isAlive(connection) ? "online" : connection.heardAt === null ? "unknown" : "offline",
      ),
      overall_status: live((connection) =>
        !isAlive(connection)
          ? "disconnected"
          : connection.isUpdating
            ? "updating"
            : connection.connected
              ? "operational"
              : "reduced-functionality",
      ),
    },
    one: {
      belongs_to__application: { to: "application", by: "fleet_id" },
      is_of__device_type: { to: "device_type", by: "device_type" },
      is_pinned_on__release: { to: "release", by: "pinned_release_id" },
      is_running__release: { to: "release", by: "running_release_id" },
      should_be_running__release: { to: "release", by: targetOfDevice },
    },
    many: {
      device_config_variable: { of: "device_config_variable", by: "device_id" },
      device_environment_variable: { of: "device_environment_variable", by: "device_id" },
      device_tag: { of: "device_tag", by: "device_id" },
      image_install: { of: "image_install", by: "device_id" },
    },
    fleet: "fleet_id",
    device: "id",
  },
  // Without a table: the slugs that are in use.
  device_type: {
    from: `(SELECT device_type AS id, device_type AS slug, id AS fleet_id FROM fleets
            UNION SELECT device_type, device_type, fleet_id FROM devices)`,
    fields: { ...columns("id", "slug"), name: column("slug") },
    one: {},
    many: {},
    fleet: "fleet_id",
  },
  device_config_variable: variable("config", "device"),
  device_environment_variable: variable("env", "device"),
  application_config_variable: variable("config", "application"),
  application_environment_variable: variable("env", "application"),
  device_tag: {
    from: "tags",
    fields: columns("id", "tag_key", "value"),
    one: { device: { to: "device", by: "device_id" } },
    many: {},
    fleet: fleetOfDevice,
    device: "device_id",
  },
  release: {
    from: "releases",
    fields: {
      ...columns("id", "created_at"),
      commit: column("release_uuid"),
      raw_version: column("ifnull(version, '0.0.0')"),
      status: column("'success'"),
      is_final: yes("1"),
    },
    one: { belongs_to__application: { to: "application", by: "fleet_id" } },
    many: {},
    fleet: "fleet_id",
  },
  service: {
    from: "services",
    fields: { id: column("id"), service_name: column("name") },
    one: { application: { to: "application", by: "fleet_id" } },
    many: {},
    fleet: "fleet_id",
  },
  image: {
    from: "images",
    fields: {
      id: column("id"),
      is_stored_at__image_location: column(
        "iif(instr(location, '@'), substr(location, 1, instr(location, '@') - 1), location)",
      ),
      content_hash: column("iif(instr(location, '@'), substr(location, instr(location, '@') + 1), NULL)"),
    },
    one: { is_a_build_of__service: { to: "service", by: "service_id" } },
    many: {},
    fleet: fleetOfService,
  },
  image_install: {
    from: "installs",
    fields: { ...columns("id", "status", "download_progress"), install_date: column("installed_at") },
    one: {
      device: { to: "device", by: "device_id" },
      installs__image: { to: "image", by: "image_id" },
      image: { to: "image", by: "image_id" },
      is_provided_by__release: { to: "release", by: "release_id" },
    },
    many: {},
    fleet: fleetOfDevice,
    device: "device_id",
  },
};

export const isResource = (name: string): boolean => Object.hasOwn(resources, name);
