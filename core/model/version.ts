/** The version of the reference implementation whose API and behaviour this is; clients and contracts compare with it. */
export const supervisorVersion = "19.0.5";
