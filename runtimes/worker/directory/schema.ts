/** The directory's tables, as the steps that made them. Only ever append: a deployed object has run the earlier ones. */
export const migrations: readonly string[] = [
  `
  CREATE TABLE fleets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    device_type TEXT NOT NULL,
    created_at TEXT NOT NULL,
    tracks_latest INTEGER NOT NULL DEFAULT 1,
    release_id INTEGER REFERENCES releases
  ) STRICT;
  CREATE TABLE devices (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    fleet_id INTEGER NOT NULL REFERENCES fleets,
    device_type TEXT NOT NULL,
    key_digest TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    supervisor_version TEXT,
    os_version TEXT,
    os_variant TEXT,
    mac_address TEXT,
    note TEXT,
    pinned_release_id INTEGER REFERENCES releases,
    running_release_id INTEGER REFERENCES releases,
    -- The last report's other fields, as JSON, and when the device was last heard of.
    report TEXT NOT NULL DEFAULT '{}',
    heard_at TEXT
  ) STRICT;
  CREATE INDEX devices_of_fleet ON devices (fleet_id);
  CREATE TABLE provisioning_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    fleet_id INTEGER NOT NULL REFERENCES fleets ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    expires_at TEXT
  ) STRICT;
  -- Times in seconds, as the tokens say them.
  CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    fleets TEXT NOT NULL,
    write INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
  ) STRICT, WITHOUT ROWID;
  -- Devices whose session has yet to learn what changed here.
  CREATE TABLE untold (uuid TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

  CREATE TABLE releases (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    fleet_id INTEGER NOT NULL REFERENCES fleets ON DELETE CASCADE,
    release_uuid TEXT NOT NULL,
    version TEXT,
    -- The services, networks and volumes of the compose file, as JSON.
    composition TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (fleet_id, release_uuid)
  ) STRICT;
  CREATE INDEX releases_of_fleet ON releases (fleet_id, id);
  CREATE TABLE services (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    fleet_id INTEGER NOT NULL REFERENCES fleets ON DELETE CASCADE,
    name TEXT NOT NULL,
    UNIQUE (fleet_id, name)
  ) STRICT;
  -- What a service runs in a release; the same image in two releases is one row, so that ids stay and nothing restarts.
  CREATE TABLE images (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    service_id INTEGER NOT NULL REFERENCES services ON DELETE CASCADE,
    location TEXT NOT NULL,
    UNIQUE (service_id, location)
  ) STRICT;
  CREATE TABLE release_images (
    release_id INTEGER NOT NULL REFERENCES releases ON DELETE CASCADE,
    image_id INTEGER NOT NULL REFERENCES images,
    PRIMARY KEY (release_id, image_id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE installs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id INTEGER NOT NULL REFERENCES devices ON DELETE CASCADE,
    image_id INTEGER NOT NULL REFERENCES images,
    release_id INTEGER NOT NULL REFERENCES releases,
    status TEXT NOT NULL,
    download_progress INTEGER,
    installed_at TEXT NOT NULL,
    UNIQUE (device_id, image_id)
  ) STRICT;

  -- Of a fleet or a device, for all services or for one.
  CREATE TABLE variables (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('config', 'env')),
    fleet_id INTEGER REFERENCES fleets ON DELETE CASCADE,
    device_id INTEGER REFERENCES devices ON DELETE CASCADE,
    service_id INTEGER REFERENCES services ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    created_at TEXT NOT NULL,
    CHECK ((fleet_id IS NULL) <> (device_id IS NULL))
  ) STRICT;
  CREATE UNIQUE INDEX one_variable ON variables
    (kind, ifnull(fleet_id, 0), ifnull(device_id, 0), ifnull(service_id, 0), name);
  CREATE TABLE tags (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    device_id INTEGER NOT NULL REFERENCES devices ON DELETE CASCADE,
    tag_key TEXT NOT NULL,
    value TEXT NOT NULL,
    UNIQUE (device_id, tag_key)
  ) STRICT;
  `,
  // Devices have an object for their log too now, and it has yet to learn of them.
  "INSERT OR IGNORE INTO untold SELECT uuid FROM devices",
  // The powers over their host that services may not ask for, as a list in JSON.
  "ALTER TABLE fleets ADD COLUMN forbidden TEXT NOT NULL DEFAULT '[]'",
  `
  ALTER TABLE tokens ADD COLUMN secrets INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE tokens ADD COLUMN manage INTEGER NOT NULL DEFAULT 0;
  -- What a token has made ends with it. Null: made by the owner, or before this was kept.
  ALTER TABLE tokens ADD COLUMN made_by TEXT REFERENCES tokens;
  CREATE INDEX token_of_maker ON tokens (made_by);
  ALTER TABLE provisioning_keys ADD COLUMN made_by TEXT REFERENCES tokens;
  ALTER TABLE provisioning_keys ADD COLUMN uses_left INTEGER;
  ALTER TABLE devices ADD COLUMN key_made_by TEXT REFERENCES tokens;
  -- Of the key that its services have: null for a device of before that has not asked since.
  ALTER TABLE devices ADD COLUMN service_key_digest TEXT;
  CREATE UNIQUE INDEX device_of_service_key ON devices (service_key_digest);
  -- The token that had made the provisioning key with which the device joined.
  ALTER TABLE devices ADD COLUMN joined_by TEXT REFERENCES tokens;
  -- Who was told the key of a device's API through the relay: the id of a token, or "device:<id>" for its own key. One whose
  -- access has ended waits here until the device has replaced its key.
  CREATE TABLE api_keys (
    device_id INTEGER NOT NULL REFERENCES devices ON DELETE CASCADE,
    holder TEXT NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (device_id, holder)
  ) STRICT, WITHOUT ROWID;

  -- Times in milliseconds; that of a refusal is the beginning of its minute.
  CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    address TEXT,
    operation TEXT NOT NULL,
    method TEXT,
    path TEXT,
    fleet_id INTEGER,
    uuid TEXT,
    about TEXT,
    status INTEGER NOT NULL,
    count INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX audit_by_who ON audit (kind, who, id);
  CREATE UNIQUE INDEX one_refusal ON audit (at, address) WHERE kind = 'refused';
  `,
  `
  -- Devices to ask to fetch their target state, and from when on. Times in milliseconds.
  CREATE TABLE update_requests (
    device_id INTEGER PRIMARY KEY REFERENCES devices ON DELETE CASCADE,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX update_request_by_time ON update_requests (due_at);
  -- When an update request found no connection. Null again as soon as the device is heard of.
  ALTER TABLE devices ADD COLUMN offline_at TEXT;
  `,
  "ALTER TABLE tokens ADD COLUMN shell INTEGER NOT NULL DEFAULT 0",
  // What is wrong on the device, as it has reported last: a list in JSON.
  "ALTER TABLE devices ADD COLUMN problems TEXT NOT NULL DEFAULT '[]'",
  `
  -- Whether the device's session has its socket, and when to ask the session again, in case the socket is dead.
  ALTER TABLE devices ADD COLUMN connected INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE devices ADD COLUMN check_at INTEGER NOT NULL DEFAULT 0;
  CREATE INDEX connected_devices ON devices (check_at) WHERE connected;
  -- Times in milliseconds; \`data\` in JSON.
  CREATE TABLE changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    fleet_id INTEGER,
    uuid TEXT,
    data TEXT NOT NULL
  ) STRICT;
  -- The secret is derived from the installation's, the id and the salt. \`fleets\`: those of the token that made it.
  -- \`cursor\`: the last change that was delivered.
  CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    salt TEXT NOT NULL,
    fleet_id INTEGER REFERENCES fleets ON DELETE CASCADE,
    kinds TEXT NOT NULL,
    fleets TEXT NOT NULL,
    made_by TEXT REFERENCES tokens,
    created_at INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    failing_since INTEGER,
    last_error TEXT,
    disabled_at INTEGER
  ) STRICT, WITHOUT ROWID;
  `,
  // Since when the device's session has its socket, in milliseconds.
  "ALTER TABLE devices ADD COLUMN connected_at INTEGER",
  `
  -- Requests with an Idempotency-Key, as JSON, without answers that have a key or token. Times in milliseconds.
  CREATE TABLE kept_requests (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    caller TEXT NOT NULL,
    at INTEGER NOT NULL,
    request TEXT NOT NULL
  ) STRICT;
  CREATE INDEX kept_requests_of_caller ON kept_requests (caller, number);
  CREATE INDEX kept_requests_by_time ON kept_requests (at);
  `,
  // When the device has come to run its release; null if that was before this was kept.
  "ALTER TABLE devices ADD COLUMN running_since TEXT",
];
