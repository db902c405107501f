/** The address at which services reach the API. It is the gateway of their network, which is an address of the host. */
export interface Gateway {
  isOpen(): boolean;
  /** Listens at this address; the network must exist. */
  open(address: string): Promise<void>;
}
