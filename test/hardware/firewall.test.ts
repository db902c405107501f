import { expect, test } from "vitest";
import { firewallRules, type FirewallRules } from "../../hardware/firewall.ts";
import { toRemove, toRestore } from "../../hardware/iptables.ts";

const rules: FirewallRules = { closed: false, localMode: false, apiPort: 48484, onLan: true };

const nothing = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n";

const guard = (end: "ACCEPT" | "REJECT") => `*filter
:BALENA-FIREWALL - [0:0]
-A BALENA-FIREWALL -p tcp --dport 48484 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A BALENA-FIREWALL -i lo -p tcp --dport 48484 -j ACCEPT
-A BALENA-FIREWALL -i supervisor0 -p tcp --dport 48484 -j ACCEPT
-A BALENA-FIREWALL -i resin-vpn -p tcp --dport 48484 -j ACCEPT
-A BALENA-FIREWALL -i tun0 -p tcp --dport 48484 -j ACCEPT
-A BALENA-FIREWALL -p tcp --dport 48484 -j ${end}
`;
const first = "-I INPUT 1 -j BALENA-FIREWALL\nCOMMIT\n";

test.each<[string, FirewallRules, string]>([
  ["services only", rules, guard("REJECT") + first],
  ["local mode, on the LAN", { ...rules, localMode: true }, guard("ACCEPT") + first],
  ["local mode, but not on the LAN", { ...rules, localMode: true, onLan: false }, guard("REJECT") + first],
])("the API for %s", (_, given, text) => {
  expect(toRestore(firewallRules(4, given), nothing)).toBe(text);
  expect(toRestore(firewallRules(6, given), nothing)).toBe(text);
});

test("a closed host", () => {
  const shared = (family: string) => `${guard("REJECT")}\
-A BALENA-FIREWALL -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A BALENA-FIREWALL -i lo -j ACCEPT
-A BALENA-FIREWALL -m conntrack --ctstate DNAT -j ACCEPT
-A BALENA-FIREWALL -p tcp -m multiport --dports 22,22222 -j ACCEPT
-A BALENA-FIREWALL -i docker0 -p udp --dport 53 -j ACCEPT
-A BALENA-FIREWALL -i balena0 -p udp --dport 53 -j ACCEPT
-A BALENA-FIREWALL -i supervisor0 -p udp --dport 53 -j ACCEPT
-A BALENA-FIREWALL -i br+ -p udp --dport 53 -j ACCEPT
-A BALENA-FIREWALL -m addrtype --dst-type MULTICAST -j ACCEPT
${family}-A BALENA-FIREWALL -j REJECT
${first}`;
  const closed = { ...rules, closed: true };
  expect(toRestore(firewallRules(4, closed), nothing)).toBe(
    shared("-A BALENA-FIREWALL -p icmp -j ACCEPT\n-A BALENA-FIREWALL -p udp --sport 67 --dport 68 -j ACCEPT\n"),
  );
  expect(toRestore(firewallRules(6, closed), nothing)).toBe(
    shared(
      "-A BALENA-FIREWALL -p ipv6-icmp -j ACCEPT\n-A BALENA-FIREWALL -s fe80::/10 -p udp --sport 547 --dport 546 -j ACCEPT\n",
    ),
  );
  const engine = "-A BALENA-FIREWALL -p tcp --dport 2375 -j ACCEPT";
  expect(toRestore(firewallRules(4, { ...closed, localMode: true }), nothing)).toContain(engine);
  expect(toRestore(firewallRules(4, closed), nothing)).not.toContain(engine);
});

const jumps = (...lines: string[]) =>
  `*filter\n:INPUT ACCEPT [0:0]\n:BALENA-FIREWALL - [0:0]\n${lines.map((line) => `${line}\n`).join("")}COMMIT\n`;
const foreign = "-A INPUT -p tcp -m tcp --dport 9 -j DROP";
const ours = "-A INPUT -j BALENA-FIREWALL";

test("an existing jump keeps its position", () => {
  expect(toRestore(firewallRules(4, rules), jumps(foreign, ours))).toBe(`${guard("REJECT")}COMMIT\n`);
});

test("a duplicate jump is removed", () => {
  const text = toRestore(firewallRules(4, rules), jumps(ours, foreign, ours));
  expect(text).toBe(`${guard("REJECT")}-D INPUT -j BALENA-FIREWALL\nCOMMIT\n`);
});

test("removal deletes only our rules", () => {
  expect(toRemove(firewallRules(4, rules), jumps(foreign, ours))).toBe(
    "*filter\n-D INPUT -j BALENA-FIREWALL\n-F BALENA-FIREWALL\n-X BALENA-FIREWALL\nCOMMIT\n",
  );
  expect(toRemove(firewallRules(4, rules), nothing)).toBeUndefined();
});
