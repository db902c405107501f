import type { MessageBus } from "dbus-native";

/** The system bus (D-Bus), as much of it as we need; the one file that knows by which library. */
export interface Bus {
  /** Calls a method and gives its result. Throws `BusError`, also when there is no answer within 25 s. */
  call(method: Method, signature?: string, ...body: readonly unknown[]): Promise<unknown>;
  close(): void;
}

interface Method {
  readonly service: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
}

/** The bus's own "no", or that of the service that was asked: its message, and its name by which one can tell it. */
export class BusError extends Error {
  /** Such as `org.freedesktop.DBus.Error.ServiceUnknown`; empty when there is no connection. */
  readonly error: string;
  constructor(message: string, error: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "BusError";
    this.error = error;
  }
}

/**
 * A bus at an address such as `unix:path=/run/dbus/system_bus_socket`. Connects with the first call, and again with the
 * first one after the connection was lost; the library is loaded then, too.
 */
export function busAt(address: string): Bus {
  let connection: Promise<MessageBus> | undefined;

  const connect = async (): Promise<MessageBus> => {
    // CommonJS: of a bundled one, there is only the default.
    const { default: dbus } = await import("dbus-native");
    const bus = dbus.createClient({ busAddress: address });
    // Whoever has called is told; nobody else needs to know.
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

/** How the library says that a call has failed. */
interface Failed {
  readonly message: string;
  readonly code?: string;
  readonly dbusName?: string;
}
