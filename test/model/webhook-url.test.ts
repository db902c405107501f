import { expect, test } from "vitest";
import { webhookUrlFault } from "../../core/model/webhook-url.ts";

test.each([
  ["http://example.com/hook", "url: expected https, but got http"],
  ["https://user:pass@example.com/", "url: expected an address without user name and password"],
  ["https://10.0.0.1/", "url: expected the name of a host on the internet, but got 10.0.0.1"],
  ["https://0x7f000001/", "url: expected the name of a host on the internet, but got 127.0.0.1"],
  ["https://[fd00::1]/", "url: expected the name of a host on the internet, but got [fd00::1]"],
  ["https://localhost/", "url: expected the name of a host on the internet, but got localhost"],
  [
    "https://metadata.google.internal/",
    "url: expected the name of a host on the internet, but got metadata.google.internal",
  ],
  ["https://printer/", "url: expected the name of a host on the internet, but got printer"],
  ["ftp://example.com/", "url: expected https, but got ftp"],
  ["example.com", 'url: expected an address such as https://example.com/hooks, but got "example.com"'],
])("a webhook does not go to %s", (url, fault) => {
  expect(webhookUrlFault(url, { allowLoopback: false })).toBe(fault);
});

test("a webhook goes to an address of this machine only where a setting allows it", () => {
  expect(webhookUrlFault("http://127.0.0.1:8080/", { allowLoopback: true })).toBeUndefined();
  expect(webhookUrlFault("http://10.0.0.1/", { allowLoopback: true })).toBe("url: expected https, but got http");
  expect(webhookUrlFault("https://hooks.example.com:8443/x?y=1", { allowLoopback: false })).toBeUndefined();
});
