import { createHash } from "node:crypto";
import { Registration, uuidTaken } from "../../../core/api/cloud/register.ts";
import type { Tables } from "./tables.ts";
import { empty, html, json, keyRequired, parse, type Answer, type Question } from "./wire.ts";

/** `POST /device/register`. */
export function register(tables: Tables, { key, headers, body }: Question): Answer {
  if (!tables.isKey(key)) return keyRequired;
  const parsed = headers["content-type"]?.startsWith("application/json") ? parse(body) : {};
  if (parsed === undefined) return html(400, "Bad Request");
  const shape = Registration.safeParse(parsed);
  if (!shape.success) return empty(400);
  const { user: _, application, device_type, uuid, api_key, ...fields } = shape.data;
  if (!/^-?\d+$/.test(String(application))) return json(400, "Application ID must be a valid integer");
  if (device_type === undefined) return json(400, "Device type must be specified");
  if (uuid === undefined) return json(400, "UUID must be specified");
  if (!/^([0-9a-f]{32}|[0-9a-f]{62})$/.test(uuid))
    return json(400, "Device UUID must be a 32 or 62 character long lower case hex string.");
  if (!tables.deviceTypes.has(device_type)) return json(404, `Unknown device type ${device_type}`);
  const fleet = tables.fleets.find((one) => one.key === key && one.id === Number(application));
  if (!fleet) return empty(401);
  if (tables.devices.has(uuid)) return html(409, uuidTaken);
  const deviceKey = api_key ?? createHash("md5").update(uuid).digest("hex");
  if (tables.deviceOf(deviceKey)) return json(409, '"key" must be unique.');
  tables.checkNewDevice(fleet, fields);
  const device = tables.addDevice(uuid, deviceKey, fleet);
  Object.assign(device.fields, fields);
  return json(201, { id: device.id, uuid, api_key: deviceKey });
}
