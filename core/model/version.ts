/** The version of the reference implementation with this API and behaviour. Clients and contracts check it. */
export const supervisorVersion = "19.0.5";
