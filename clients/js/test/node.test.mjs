// The client in Node.js, against a server on this machine.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { Eye } from "../build/index.js";

let server, url;
let requests, answer;

before(async () => {
  server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    const body = JSON.parse(request.headers["content-encoding"] === "gzip" ? gunzipSync(bytes) : bytes);
    requests.push({ method: request.method, path: request.url, headers: request.headers, bytes: bytes.length, body });
    answer(response, body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${server.address().port}`;
});

after(() => server.close());

const accept = (response, { events }) => response.writeHead(202).end(JSON.stringify({ received: events.length, events: [] }));

beforeEach(() => {
  requests = [];
  answer = accept;
});

test("a small request", async () => {
  const eye = new Eye({ url, key: "eye_w_secret" });
  eye.track("c", "n", { text: "ä" });
  assert.equal(await eye.close(), true);
  const [{ method, path, headers, body }] = requests;
  assert.deepEqual([method, path, headers.authorization, headers["content-type"]], ["POST", "/v1/events?quiet=1", "Bearer eye_w_secret", "application/json"]);
  assert.equal(headers["content-encoding"], undefined);
  assert.match(body.sent_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.deepEqual(body.events[0].data, { text: "ä" });
});

test("a request of 1 KiB or more is compressed", async () => {
  const eye = new Eye({ url, key: "k" });
  eye.track("c", "n", { text: "x".repeat(2000) });
  await eye.close();
  assert.equal(requests[0].headers["content-encoding"], "gzip");
  assert.ok(requests[0].bytes < 1000);
  assert.equal(requests[0].body.events[0].data.text.length, 2000);
});

test("a redirect is not followed, and a cut connection is tried again", async () => {
  const answers = [
    (response) => response.writeHead(307, { location: `${url}/elsewhere` }).end(),
    (response) => response.destroy(),
    (response) => response.writeHead(503, { "retry-after": "0" }).end(),
    accept,
  ];
  answer = (response, body) => answers.shift()(response, body);
  const eye = new Eye({ url, key: "k", batchDelay: 1 });
  eye.track("c", "n");
  assert.equal(await eye.flush(), true);
  assert.deepEqual(requests.map(({ path }) => path), Array(4).fill("/v1/events?quiet=1"));
  await eye.close();
});

test("a request that is not answered is aborted", async () => {
  answer = (response, body) => (requests.length === 1 ? undefined : accept(response, body));
  const eye = new Eye({ url, key: "k", requestTimeout: 100 });
  eye.track("c", "n");
  assert.equal(await eye.close(), true);
  assert.equal(requests.length, 2);
});

test("a process that ends by itself sends what is queued, and an idle client does not keep it", async () => {
  const module = fileURLToPath(new URL("../build/index.js", import.meta.url));
  const program = `
    import { Eye } from ${JSON.stringify(module)};
    new Eye({ url: ${JSON.stringify(url)}, key: "k" });
    const eye = new Eye({ url: ${JSON.stringify(url)}, key: "k", batchDelay: 3_600_000 });
    for (let n = 0; n < 1000; n++) eye.track("c", "n", { n });
  `;
  await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program], { timeout: 60_000 });
  assert.deepEqual(requests.flatMap(({ body }) => body.events.map(({ data }) => data.n)), Array.from({ length: 1000 }, (_, n) => n));
});

test("the last failure says why there was no connection", async () => {
  const gone = createServer().listen(0, "127.0.0.1");
  await once(gone, "listening");
  const { port } = gone.address();
  gone.close();
  await once(gone, "close");
  const reasons = [];
  const eye = new Eye({ url: `http://127.0.0.1:${port}`, key: "k", onOutage: (reason) => reasons.push(reason) });
  eye.track("c", "n");
  assert.equal(await eye.close({ timeout: 500 }), false);
  assert.deepEqual(reasons, [`connect ECONNREFUSED 127.0.0.1:${port}`]);
});
