import type { MessageBus } from "dbus-native";

/** A client of the system bus (D-Bus). Only this file imports the D-Bus library. */
export interface Bus {
  /** Calls a method and returns its result. Throws `BusError` if the call fails or has no answer within 25 s. */
  call(method: Method, signature?: string, ...body: readonly unknown[]): Promise<unknown>;
  close(): void;
}

interface Method {
  readonly service: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
}

/** An error reply from the bus or from the called service, or a failed connection. */
export class BusError extends Error {
  /** The D-Bus error name, such as `org.freedesktop.DBus.Error.ServiceUnknown`. Empty if there is no connection. */
  readonly error: string;
  constructor(message: string, error: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "BusError";
    this.error = error;
  }
}

/**
 * A client of the bus at an address such as `unix:path=/run/dbus/system_bus_socket`. The first call loads the library and
 * connects. The first call after a lost connection connects again.
 */
export function busAt(address: string): Bus {
  let connection: Promise<MessageBus> | undefined;

  const connect = async (): Promise<MessageBus> => {
    // The library is CommonJS. A bundle of it has only a default export.
    const { default: dbus } = await import("dbus-native");
    const bus = dbus.createClient({ busAddress: address });
    // Every pending call rejects with this error, so it is not logged here.
    bus.connection.on("error", () => undefined);
    bus.connection.on("close", () => void (connection = undefined));
    return bus;
  };

  return {
    async call({ service, ...method }, signature = "", ...body) {
      try {
        const bus = await (connection ??= connect());
        return await bus.invoke<unknown>({ ...method, destination: service, signature, body: [...body] });
      } catch (error) {
        throw toBusError(error, address);
      }
    },
    close: () =>
      void connection?.then(
        (bus) => bus.connection.end(),
        () => undefined,
      ),
  };
}

function toBusError(error: unknown, address: string): BusError {
  const { message, code, dbusName = "" }: Failed = error instanceof Error ? error : { message: String(error) };
  if (code !== "ECONNCLOSED") return new BusError(message, dbusName, { cause: error });
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : message;
  return new BusError(`The system bus at ${address} does not answer: ${cause}`, "", { cause: error });
}

/** The errors that the library rejects with. */
interface Failed {
  readonly message: string;
  readonly code?: string;
  readonly dbusName?: string;
}
