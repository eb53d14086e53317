// What the cases of the contract do not show, on virtual time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Eye } from "../build/index.js";
import { World } from "./world.mjs";

const options = { url: "http://eye.test/", key: "eye_w_secret", sessionId: "s" };

/** make returns a client in a world, and what it reports. */
function make(more = {}, script = {}) {
  const world = new World(script);
  const [errors, rejected] = [[], []];
  const eye = new Eye({ ...options, onError: (e) => errors.push(e), onRejected: (r) => rejected.push(r), ...more }, world);
  return { world, eye, errors, rejected, sent: () => world.requests.flatMap(({ body }) => JSON.parse(body).events) };
}

test("options that are not valid", () => {
  assert.throws(() => new Eye({ key: "k" }), { name: "TypeError", message: "url is not a valid URL of a server" });
  assert.throws(() => new Eye({ url: "eye.test", key: "k" }), TypeError);
  assert.throws(() => new Eye({ url: "http://eye.test" }), { name: "TypeError", message: "key is missing" });
  assert.throws(() => make({ batchEvents: 0 }), { name: "RangeError", message: "batchEvents must be at least 1" });
  assert.throws(() => make({ queueBytes: NaN }), RangeError);
  assert.throws(() => make({ batchDelay: -1 }), RangeError);
  make({ batchDelay: 0 });
});

test("unknown options are told", async () => {
  const { world, errors } = make({ onerror: 1, batchSize: 5, session: "tabs", autocapture: { pageViews: true, clicks: false } });
  assert.deepEqual(errors, []); // not within the constructor
  await world.advance(0);
  assert.deepEqual(errors, [{
    code: "options", events: 0, message: 'unknown options: onerror, batchSize, autocapture.pageViews, session "tabs"',
  }]);
});

test("without onError, the console tells of unknown options, once", (t) => {
  const warn = t.mock.method(console, "warn", () => {});
  make({ onError: undefined, onerror: 1, cookiedomain: "x" });
  assert.deepEqual(warn.mock.calls.map((call) => call.arguments), [["theeye: unknown options: onerror, cookiedomain"]]);
});

test("all options that are documented exist", async () => {
  const { world, errors } = make({
    queueEvents: 1, queueBytes: 1, batchEvents: 1, batchBytes: 1, batchDelay: 1, requestTimeout: 1, commonData: {}, beforeSend: (e) => e,
    onOutage() {}, session: "tab", cookieDomain: "x", storage: false, webdriver: true,
    autocapture: { pageviews: true, clicks: true, forms: true, errors: true, vitals: true, query: [] },
  });
  make({ autocapture: true, session: "memory" });
  await world.advance(0);
  assert.deepEqual(errors, []);
});

for (const [status, body, message] of [
  [401, '{"detail":"this key was revoked"}', "the key was refused: the server answered 401: this key was revoked"],
  [403, '{"detail":"the key eye_w_secret is not permitted"}', "the key was refused: the server answered 403: the key [key] is not permitted"],
  [403, "<html>", "the key was refused: the server answered 403: no reason given"],
]) {
  test(`why a key is refused: ${status} ${body}`, async () => {
    const { world, eye, errors } = make({}, { answers: [{ status, body }] });
    eye.track("c", "n");
    await world.advance(500);
    assert.deepEqual(errors, [{ code: "unauthorized", message, events: 1 }]);
  });
}

test("why a request is refused", async () => {
  const { world, eye, errors } = make({}, { answers: [{ status: 400, body: '{"detail":"no member \\"events\\""}' }] });
  eye.track("c", "n");
  await world.advance(500);
  assert.equal(errors[0].message, 'the server answered 400: no member "events"');
});

test("the last failure can be read while a server is away, and is the reason of what is unsent", async () => {
  const { world, eye, errors } = make({}, { answers: [{ error: "connect ECONNREFUSED with eye_w_secret" }] });
  assert.equal(eye.stats.lastFailure, undefined);
  eye.track("c", "n");
  await world.advance(600);
  assert.equal(eye.stats.lastFailure, "connect ECONNREFUSED with [key]");
  void eye.close({ timeout: 100 });
  await world.advance(1000);
  assert.deepEqual(errors, [{ code: "unsent", message: "connect ECONNREFUSED with [key]", events: 1 }]);
});

test("the address has no slash at its end, and the key goes to the transport alone", async () => {
  const { world, eye } = make();
  eye.track("c", "n");
  await world.advance(500);
  assert.deepEqual([world.requests[0].url, world.requests[0].key], ["http://eye.test", "eye_w_secret"]);
  assert.doesNotMatch(world.requests[0].body, /eye_w/);
});

test("what the caller changes after track does not matter", async () => {
  const { world, eye, sent } = make();
  const data = { list: [1] };
  eye.track("c", "n", data);
  data.list.push(2);
  await world.advance(500);
  assert.deepEqual(sent()[0].data, { list: [1] });
});

test("values that JSON.stringify knows, and backslashes that look like surrogates", async () => {
  const { world, eye, errors, sent } = make();
  eye.track("c", "n", { when: new Date(0), gone: undefined, text: "\\ud800 \\\\ud800", pair: "\u{1f600}", big: [1n, "1n", { x: -2n }] });
  eye.track("c", "n", { toJSON: () => ({ made: true }) });
  await world.advance(500);
  assert.deepEqual(sent()[0].data, { when: "1970-01-01T00:00:00.000Z", text: "\\ud800 \\\\ud800", pair: "\u{1f600}", big: [1, "1n", { x: -2 }] });
  assert.deepEqual(sent()[1].data, { made: true });
  assert.deepEqual(errors, []);
});

test("what cannot be encoded costs that event alone, whatever it is", async () => {
  const { world, eye, errors, sent } = make();
  const throwing = { get bad() { throw new Error("no"); } };
  for (const data of [throwing, "text", 1, null, [], new Date(), () => {}, Symbol("s"), { toJSON: () => { throw undefined; } }, { "\udc00": 1 }, { big: 1n, self: null }]) {
    if (typeof data?.big === "bigint") data.self = data;
    eye.track("c", "n", data);
  }
  eye.track("\ud800", "n");
  eye.track("c", "n", {}, { sessionId: "\udfff" });
  eye.track("c", "good", {});
  await world.advance(500);
  assert.deepEqual(sent().map(({ name, seq }) => [name, seq]), [["good", 1]]);
  assert.equal(errors.length, 13);
  for (const { code, events } of errors) assert.deepEqual([code, events], ["unserializable", 1]);
  assert.equal(eye.stats.dropped, 13);
});

test("a time can be a Date", async () => {
  const { world, eye, sent } = make();
  eye.track("c", "n", {}, { timestamp: new Date(Date.UTC(2025, 0, 2)) });
  await world.advance(500);
  assert.equal(sent()[0].timestamp, "2025-01-02T00:00:00.000Z");
});

test("ids are UUIDv7 of the time, and differ", async () => {
  const { world, eye, sent } = make();
  for (let i = 0; i < 1000; i++) eye.track("c", "n");
  await world.advance(500);
  const ids = sent().map(({ id }) => id);
  assert.equal(new Set(ids).size, 1000);
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(parseInt(ids[0].slice(0, 8) + ids[0].slice(9, 13), 16), Date.parse("2026-01-02T03:04:05Z"));
});

test("common data is read at every call, and the event's own wins", async () => {
  const commonData = { release: "1", path: "/" };
  const { world, eye, sent } = make({ commonData });
  eye.track("c", "n", { path: "/a" });
  commonData.release = "2";
  eye.track("c", "n");
  eye.track("c", "n", "no object");
  await world.advance(500);
  assert.deepEqual(sent().map(({ data }) => data), [{ release: "1", path: "/a" }, { release: "2", path: "/" }]);
});

test("beforeSend changes and drops events", async () => {
  const { world, eye, errors, sent } = make({
    beforeSend(event) {
      if (event.name === "drop") return null;
      if (event.name === "throw") throw new Error("not this one");
      return { ...event, name: event.name.toUpperCase(), data: { ...event.data, seen: true } };
    },
  });
  for (const name of ["a", "drop", "throw", "b"]) eye.track("c", name, { x: 1 });
  await world.advance(500);
  assert.deepEqual(sent().map(({ name, data, seq }) => [name, data, seq]), [["A", { x: 1, seen: true }, 1], ["B", { x: 1, seen: true }, 2]]);
  assert.deepEqual(errors.map(({ code, message }) => [code, message]), [["unserializable", "the event could not be encoded: not this one"]]);
});

test("callbacks are not called within track, and may throw", async () => {
  let calls = 0;
  const fail = () => {
    calls++;
    throw new Error("from a callback");
  };
  const { world, eye } = make({ batchEvents: 1, onError: fail, onRejected: async () => fail() }, { answers: [{ status: 202, rejected: { 0: ["schema_violation"] } }, { status: 400 }, { status: 202 }] });
  eye.track("c", "n", []);
  assert.equal(calls, 0);
  for (let i = 0; i < 3; i++) eye.track("c", "n");
  await world.advance(500);
  assert.equal(calls, 3);
  assert.deepEqual(eye.stats, { accepted: 1, rejected: 1, dropped: 2, queued: 0, queuedBytes: 0, lastFailure: undefined });
});

test("a client without callbacks", async () => {
  const { world, eye } = make({ onError: undefined, onRejected: undefined, batchEvents: 1 }, { answers: [{ status: 202, rejected: { 0: ["x"] } }, { status: 403 }] });
  eye.track("c", "n");
  eye.track("c", "n");
  eye.track("c", "n", []);
  await world.advance(500);
  assert.equal(eye.stats.rejected, 1);
  assert.equal(eye.stats.queued, 1);
});

test("100,000 calls while no request is answered: memory is bounded, and drops are told together", async () => {
  const { world, eye, errors } = make({}, { answers: [{ error: "hang" }] });
  for (let i = 0; i < 100_000; i++) eye.track("c", "n", { i });
  const { queued, queuedBytes, dropped } = eye.stats;
  assert.deepEqual([queued, dropped], [10_000, 90_000]);
  assert.ok(queuedBytes < 16 << 20);
  await world.advance(999);
  assert.deepEqual(errors, []);
  await world.advance(1000);
  eye.track("c", "n");
  await world.advance(3000);
  assert.deepEqual(errors.map(({ code, events }) => [code, events]), [["queue_full", 90_000], ["queue_full", 1]]);
});

test("a transport that throws at once is a network error", async () => {
  const { world, eye } = make();
  const post = world.post;
  let fail = true;
  const thrower = new World();
  thrower.post = () => (...args) => {
    if (!fail) return thrower.good(...args);
    throw new Error("no network");
  };
  thrower.good = post.call(thrower, "u", "k");
  const other = new Eye(options, thrower);
  other.track("c", "n");
  await thrower.advance(600);
  assert.equal(other.stats.queued, 1);
  fail = false;
  await thrower.advance(20_000);
  assert.equal(other.stats.queued, 0);
  assert.equal(eye.stats.queued, 0);
  assert.equal(world.requests.length, 1);
});

test("a client of many sessions counts anew under another sender", async () => {
  const { world, eye, sent } = make({ queueEvents: 200_000, queueBytes: 2 ** 30 });
  for (let i = 0; i <= 100_000; i++) eye.track("c", "n", {}, { sessionId: `session ${i}` });
  eye.track("c", "n", {}, { sessionId: "session 0" });
  await world.advance(10_000);
  const events = sent();
  assert.equal(events.length, 100_002);
  assert.equal(new Set(events.slice(0, 100_000).map(({ sender }) => sender)).size, 1);
  assert.notEqual(events[100_000].sender, events[0].sender);
  assert.deepEqual([events[100_001].seq, events[100_001].sender], [1, events[100_000].sender]);
});

test("the session can be read and set", async () => {
  const { world, eye, sent } = make({ sessionId: undefined });
  assert.match(eye.session, /^[0-9a-f-]{36}$/);
  eye.track("c", "n");
  const first = eye.session;
  eye.setSession("other");
  eye.track("c", "n");
  await world.advance(500);
  assert.deepEqual(sent().map(({ session_id }) => session_id), [first, "other"]);
});

test("opting out drops what waits and what is under way", async () => {
  const { world, eye, errors } = make({ batchEvents: 1 }, { answers: [{ status: 503 }, { status: 202 }] });
  eye.track("c", "n");
  eye.track("c", "n");
  await world.advance(50);
  eye.optOut();
  eye.track("c", "n");
  assert.equal(eye.stats.queued, 0);
  await world.advance(60_000);
  assert.equal(world.requests.length, 1);
  eye.optIn();
  eye.track("c", "after");
  await world.advance(61_000);
  assert.equal(world.requests.length, 2);
  assert.equal(eye.stats.accepted, 1);
  assert.deepEqual(errors, []);
});

test("flush waits for what was tracked before it, not for what comes later", async () => {
  const { world, eye } = make({ batchEvents: 1 }, { answers: [{ status: 202, after_ms: 100 }] });
  eye.track("c", "n");
  let flushed;
  void eye.flush().then((settled) => (flushed = settled));
  for (let i = 0; i < 5; i++) eye.track("c", "n");
  await world.advance(150);
  assert.equal(flushed, true);
  assert.equal(eye.stats.queued, 5);
});

test("flush keeps the process alive, and only as long as it lasts", async () => {
  const { world, eye } = make({}, { answers: [{ error: "hang" }] });
  eye.track("c", "n");
  void eye.flush({ timeout: 100 });
  assert.equal(world.held, 1);
  await world.advance(200);
  assert.equal(world.held, 0);
});

test("the end of the process closes the client", async () => {
  const { world, eye, sent } = make();
  eye.track("c", "n");
  world.exit();
  await world.advance(10);
  assert.equal(sent().length, 1);
  assert.equal(world.exit, undefined);
  assert.equal(world.held, 0);
});

test("close ends a flush that has no end, and may be called twice", async () => {
  const { world, eye, errors } = make({}, { answers: [{ error: "hang" }] });
  eye.track("c", "n");
  const flushed = eye.flush();
  const [first, second] = [eye.close({ timeout: 100 }), eye.close()];
  await world.advance(100);
  assert.deepEqual([await flushed, await first, await second], [false, false, false]);
  assert.equal(await eye.flush(), true); // nothing is left
  eye.track("c", "n");
  await world.advance(200_000);
  assert.deepEqual(errors.map(({ code }) => code), ["unsent", "closed"]);
  assert.equal(world.requests.length, 1);
});

test("close reports drops that were not reported yet", async () => {
  const { world, eye, errors } = make({ queueEvents: 1 });
  eye.track("c", "n");
  eye.track("c", "n");
  void eye.close();
  await world.advance(100);
  assert.deepEqual(errors.map(({ code, events }) => [code, events]), [["queue_full", 1]]);
});

test("an answer that names no event of the batch, or has no problems, does not break the client", async () => {
  const body = JSON.stringify({ received: 1, events: [{ index: 7, id: "x", status: "rejected" }, { index: 0, id: "y", status: "rejected" }] });
  const { world, eye, rejected } = make({}, { answers: [{ status: 202, body }] });
  eye.track("c", "n");
  await world.advance(500);
  assert.deepEqual(rejected.map(({ id, problems }) => [id, problems]), [["y", []]]);
});

for (const body of ['{"received":1,"events":5}', '{"received":1,"events":[null,3,{}]}', '{"received":1}']) {
  test(`an answer of another form: ${body}`, async () => {
    const { world, eye } = make({}, { answers: [{ status: 202, body }] });
    eye.track("c", "n");
    await world.advance(500);
    assert.equal(eye.stats.accepted, 1);
  });
}

for (const body of ["null", "1", "", "{}"]) {
  test(`an answer that is not The Eye's: ${JSON.stringify(body)}`, async () => {
    const { world, eye } = make({}, { answers: [{ status: 200, body }, { status: 202 }] });
    eye.track("c", "n");
    await world.advance(800);
    assert.equal(world.requests.length, 2);
    assert.equal(eye.stats.accepted, 1);
  });
}

test("null in place of options costs that event", async () => {
  const { world, eye, errors } = make();
  eye.track("c", "n", {}, null);
  await world.advance(500);
  assert.equal(errors[0].code, "unserializable");
});

for (const after of ["soon", "-5", "Thu, 01 Jan 1970 00:00:00 GMT"]) {
  test(`Retry-After: ${after} is as if there were none`, async () => {
    const { world, eye } = make({}, { answers: [{ status: 503, headers: { "Retry-After": after } }, { status: 202 }] });
    eye.track("c", "n");
    await world.advance(800);
    assert.equal(world.requests.length, 2);
    assert.ok(world.requests[1].at >= 600);
  });
}
