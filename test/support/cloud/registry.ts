import { createPrivateKey, randomUUID, sign, X509Certificate } from "node:crypto";
import { withoutDigest, type Tables } from "./tables.ts";
import { json, type Answer, type Question } from "./wire.ts";

/** Whether these credentials may pull from the cloud's registry: `d_<uuid>` with the key of that device. */
export function mayPull(
  tables: Tables,
  credentials: { readonly username: string; readonly password: string } | undefined,
): boolean {
  const device = tables.devices.get(credentials?.username.replace(/^d_/, "") ?? "");
  return device !== undefined && tables.deviceOf(credentials?.password) === device;
}

/** The key that signs tokens, and its certificate, as PEM. */
export interface TokenSigner {
  readonly privateKey: string;
  readonly certificate: string;
}

/** `GET /auth/v1/token`: a token for the registry. Without valid credentials, the token has no permissions. */
export function registryToken(tables: Tables & { readonly signer?: TokenSigner }, { url, headers }: Question): Answer {
  const { signer } = tables;
  if (!signer) return json(404, "Not Found");
  const basic = /^Basic (.+)$/i.exec(headers.authorization ?? "")?.[1] ?? "";
  const [username = "", password = ""] = Buffer.from(basic, "base64").toString().split(":");
  const names = url.searchParams.getAll("scope").flatMap((scope) => /^repository:([^:]+):/.exec(scope)?.[1] ?? []);
  const isKnown = (name: string) =>
    [...tables.releases.values()].some(({ services }) =>
      Object.values(services).some(({ image }) => withoutDigest(image).endsWith(`/${name}`)),
    );
  const allowed = mayPull(tables, { username, password }) ? names.filter(isKnown) : [];
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    ...{ iss: "fake-cloud", sub: username, aud: url.searchParams.get("service") ?? "", jti: randomUUID() },
    ...{ iat: now - 60, nbf: now - 60, exp: now + 300 },
    access: allowed.map((name) => ({ type: "repository", name, actions: ["pull"] })),
  };
  const x5c = [new X509Certificate(signer.certificate).raw.toString("base64")];
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${encode({ typ: "JWT", alg: "ES256", x5c })}.${encode(claims)}`;
  const key = createPrivateKey(signer.privateKey);
  const signature = sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" });
  return json(200, { token: `${text}.${signature.toString("base64url")}` });
}
