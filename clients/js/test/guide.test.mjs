// The programs of docs/guides/client-javascript.md are the examples, and the examples work. Those
// for pages are run by the test of the browser.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const examples = new URL("../examples/", import.meta.url);
const guide = readFileSync(new URL("../../../docs/guides/client-javascript.md", import.meta.url), "utf8");

let server, url, received;

before(async () => {
  received = [];
  server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const { events } = JSON.parse(body);
    received.push(...events);
    response.writeHead(202).end(JSON.stringify({ received: events.length }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${server.address().port}`;
});

after(() => server.close());

const run = (name, more = {}) =>
  spawn(process.execPath, [fileURLToPath(new URL(name, examples))], { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, EYE_URL: url, EYE_KEY: "k", ...more } });

test("the guide shows the examples as they are", () => {
  const shown = [...guide.matchAll(/^```(?:js|html)\n(.*?)^```$/gms)].map(([, text]) => text);
  const files = readdirSync(examples).map((name) => readFileSync(new URL(name, examples), "utf8"));
  assert.deepEqual(shown.sort(), files.sort());
});

test("the first event", async () => {
  const [code] = await once(run("first.mjs"), "exit");
  assert.equal(code, 0);
  const [{ session_id, category, name, data }] = received.splice(0);
  assert.deepEqual([session_id, category, name, data], ["a7", "page interaction", "pageview", { path: "/" }]);
});

test("a web server", async () => {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  const child = run("server.mjs", { PORT: String(port) });
  const exit = once(child, "exit");
  const get = (headers) => fetch(`http://127.0.0.1:${port}/a?b=c`, { headers });
  let first;
  for (let tries = 0; !first; tries++) {
    first = await get({}).catch(() => undefined); // until it listens
    assert.ok(tries < 600);
    if (!first) await sleep(50);
  }
  const cookie = first.headers.get("set-cookie").split(";")[0];
  await get({ cookie });
  child.kill("SIGTERM");
  assert.deepEqual(await exit, [0, null]);
  const events = received.splice(0);
  assert.deepEqual(events.map(({ name, data }) => [name, data.path, data.status]), [["request", "/a", 200], ["request", "/a", 200]]);
  assert.deepEqual(events.map(({ session_id }) => session_id), Array(2).fill(cookie.split("=")[1]));
});
