/** The address at which services reach the API: the gateway of their network, an address of the host. */
export interface Gateway {
  isOpen(): boolean;
  /** Listens at this address; the network must exist. */
  open(address: string): Promise<void>;
}
