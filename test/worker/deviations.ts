interface Deviation {
  /** The paths where the answers differ. */
  readonly differ: readonly string[];
  readonly why: string;
}

/** Paths that differ in every answer. */
export const everywhere: readonly { readonly differ: RegExp; readonly why: string }[] = [
  {
    differ: /\.services\.\w+\.(contract|labels\.com\.example\.\w+)$/,
    why: "The public cloud builds images, and knows their labels and contracts; ours takes them from a registry, where the engine reads the labels.",
  },
  {
    differ: /\.composition\.image$/,
    why: "The public cloud gives each image a place in its own registry; with ours, it is where the compose file says.",
  },
];

const installs = "body.d.0.image_install";

const saidWhy: Deviation = {
  differ: ["body"],
  why: "The public cloud says nothing, or shows a page of HTML; ours says what is wrong.",
};
const notLost: Deviation = {
  differ: ["status"],
  why: "The public cloud loses a whole report for one part that it does not know, as after a move to another fleet; ours passes that part over.",
};
const smaller: Deviation = {
  differ: ["status", "body"],
  why: "The public cloud reads 512 KiB; ours 64 KiB, unpacked: a report on 100 services has less than half of it.",
};
const saidHowLarge: Deviation = {
  differ: ["body"],
  why: "The public cloud shows a page of HTML; ours says how large a report may be.",
};
const noKeyExchange: Deviation = {
  differ: ["status", "body"],
  why: "A device of ours proposes its key when it registers, and no other way leads to one.",
};
const noProgress: Deviation = {
  differ: [`${installs}.0.download_progress`],
  why: "The public cloud keeps 50 % of a service that runs until it is told null.",
};
const onlineByTunnel: Deviation = {
  differ: ["body.d.0.is_online"],
  why: "The public cloud believes a device that says it is online; ours looks whether its tunnel is up.",
};

const anyType: Deviation = {
  differ: ["status", "body"],
  why: "The public cloud keeps a list of device types; a fleet of ours takes any machine that has its key.",
};
const strongKey: Deviation = {
  differ: ["body.api_key"],
  why: "The public cloud keeps a key of 32 letters and digits that a device brings along; ours makes one of 256 bits, which agents take from the answer.",
};

type Recording = "register" | "register with short keys" | "state-get" | "report-v3" | "logs";

export const deviations: Readonly<Record<Recording, Readonly<Record<string, Deviation>>>> = {
  register: {
    "state v3 before registration (unknown uuid), no key": {
      differ: ["status"],
      why: "The public cloud answers 304 to anybody for a device that it does not know; ours answers nobody who has no key.",
    },
    "register: unknown device_type": anyType,
    "register: body not json": saidWhy,
    "register: device type of another architecture than the fleet": strongKey,
    "device-key exchange with provisioning key": noKeyExchange,
    "device-key exchange with the device key itself": noKeyExchange,
    "device-key by user": noKeyExchange,
    "device-key by user again, same key": noKeyExchange,
    "actor whoami (provisioning key)": {
      differ: ["body.slug"],
      why: "Fleets of ours belong to no organisation, whose name comes first in the public cloud's.",
    },
    "user whoami (device key)": {
      differ: ["status", "body"],
      why: "It is the older form of actor whoami; no client that works with ours asks for it.",
    },
    "the new device by OData (all own fields)": {
      differ: [
        "created_at",
        "modified_at",
        "actor",
        "changed_api_heartbeat_state_on__date",
        "local_id",
        "is_of__device_type.__id",
        "last_vpn_event",
        "is_locked_until__date",
        "download_progress",
        "overall_status",
        "api_port",
        "api_secret",
        "is_managed_by__service_instance",
        "should_be_running__release",
        "should_be_operated_by__release",
        "should_be_managed_by__release",
        "is_active",
        "is_frozen",
      ].map((field) => `body.d.0.${field}`),
      why: "Without $select, ours gives the columns of its table, and no key for the device's API; the rest is there for who asks, as far as clients do.",
    },
  },
  "register with short keys": {
    "register: unknown device_type": anyType,
    "register: body not json": saidWhy,
    "register: ok": strongKey,
    "register: other uuid, key in use": {
      differ: ["status", "body"],
      why: "Ours has not taken that key, which is too short, so that nobody has it.",
    },
    "register second device: application as a string, key by ?apikey=, no api_key in the body": strongKey,
    "register: device type of another architecture than the fleet": strongKey,
    "register: same architecture, other device type": strongKey,
  },
  "state-get": {
    "v1 state (gone)": saidWhy,
    "v2 state": {
      differ: [
        "body.local.apps.1.services.1.labels.io.balena.features.supervisor-api",
        "body.local.apps.1.services.1.environment.FROM_COMPOSE",
        "body.local.apps.1.services.2.environment.A",
        "body.local.apps.1.services.2.environment.B",
      ],
      why: "In version 2, the public cloud loses the environment and the labels of the compose file; ours merges them.",
    },
  },
  "report-v3": {
    "after progress 60": {
      differ: [`${installs}.0.download_progress`, "body.d.0.overall_progress"],
      why: "The public cloud throws away progress that comes within 30 s; ours keeps it, since agents hold back by themselves.",
    },
    "after running": noProgress,
    "after metrics only": {
      differ: [...noProgress.differ, "body.d.0.memory_usage", "body.d.0.cpu_temp"],
      why: "The public cloud throws away metrics that come within 60 s; ours keeps them, since agents hold back by themselves.",
    },
    "after metrics with a change": noProgress,
    "after one service": noProgress,
    "after unknown fields": onlineByTunnel,
    "after big metric": onlineByTunnel,
    "negative / float metrics": {
      differ: ["status"],
      why: "The public cloud loses a whole report for a number that is not whole; ours rounds it.",
    },
    "after float metrics": {
      differ: ["body.d.0.is_online", "body.d.0.ip_address", "body.d.0.memory_usage", "body.d.0.cpu_temp"],
      why: "That report was kept.",
    },
    "unknown release": notLost,
    "release_uuid unknown": notLost,
    "unknown image": notLost,
    "image with a wrong digest": notLost,
    "unknown app with a known commit": notLost,
    "same image under two service names": {
      differ: ["status"],
      why: "Two services may share an image, and ours can tell them apart.",
    },
    "bad update_status": saidWhy,
    "status number": saidWhy,
    "service without image": saidWhy,
    "update_status null": saidWhy,
    "status null": saidWhy,
    "uuid: [] ": saidWhy,
    "malformed json": saidWhy,
    "deflate-encoded header but plain": {
      differ: ["status", "body"],
      why: "The recorded header says br, which ours does not read: 415, with the encodings that it does.",
    },
    "big body 90 KB": smaller,
    "big body 110 KB": smaller,
    "big body 500 KB": smaller,
    "big body 600 KB": saidHowLarge,
    "big body 1100 KB": saidHowLarge,
    "big body 2100 KB": saidHowLarge,

    "device at the end": {
      differ: [
        `${installs}.1.status`,
        "body.d.0.is_online",
        "body.d.0.ip_address",
        "body.d.0.memory_usage",
        "body.d.0.cpu_temp",
        "body.d.0.update_status",
      ],
      why: "Reports that the public cloud has lost were kept.",
    },
  },
  logs: {
    "not an array": saidWhy,
    "timestamp text": saidWhy,
    "stream: gzip declared, plain sent": {
      differ: ["status", "body"],
      why: "The public cloud says 201, and keeps nothing; ours says 400, since a device that is told 201 throws its lines away.",
    },
  },
};
