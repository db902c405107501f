// The baseline: node:http and nothing else. It sends what it is given, as JSON: path → headers and body.
import { createServer } from "node:http";

const [port, answers = "{}"] = process.argv.slice(2);
const known = new Map(Object.entries(JSON.parse(answers)));

createServer((request, response) => {
  const answer = known.get(request.url);
  response.writeHead(200, answer?.headers ?? { "content-type": "text/plain; charset=utf-8", "content-length": "2" });
  response.end(answer?.body ?? "OK");
}).listen(Number(port), "127.0.0.1");
