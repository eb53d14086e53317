// Runs the cases of ../../contract on virtual time.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { Eye } from "../build/index.js";
import { World } from "../test/world.mjs";

const folder = new URL("../../contract/", import.meta.url);

for (const file of readdirSync(folder).filter((name) => name.endsWith(".json"))) {
  describe(file, () => {
    for (const it of JSON.parse(readFileSync(new URL(file, folder), "utf8"))) {
      if (it.only && !it.only.includes("js")) continue;
      if (it.except?.includes("js")) continue;
      test(it.name, () => run(it));
    }
  });
}

/** known fails on members that this runner does not understand. */
function known(object, ...names) {
  for (const name of Object.keys(object)) assert.ok(names.includes(name), `unknown member ${name} in ${JSON.stringify(object)}`);
}

const optionNames = {
  batch_events: "batchEvents", batch_bytes: "batchBytes", queue_events: "queueEvents", queue_bytes: "queueBytes",
  batch_delay_ms: "batchDelay", request_timeout_ms: "requestTimeout",
};

async function run(it) {
  known(it, "name", "only", "except", "options", "start", "steps", "answers", "requests", "errors", "rejected", "outages", "queued", "until_ms");
  known(it.options ?? {}, ...Object.keys(optionNames));
  for (const answer of it.answers) known(answer, "status", "headers", "body", "rejected", "after_ms", "error");

  const world = new World({ start: it.start, answers: it.answers });
  const [errors, rejected, outages, results] = [[], [], [], []];
  const eye = new Eye({
    url: "http://eye.test",
    key: "eye_w_secret",
    ...Object.fromEntries(Object.entries(it.options ?? {}).map(([name, value]) => [optionNames[name], value])),
    onError: (error) => errors.push(error),
    onRejected: (rejection) => rejected.push(rejection),
    onOutage: (reason) => outages.push(reason),
  }, world);

  for (const step of it.steps) {
    await world.advance(step.at_ms);
    known(step, "at_ms", "track", "times", "set_clock_ms", "flush_ms", "flushed", "close_ms");
    if (step.track) {
      for (let i = 0; i < (step.times ?? 1); i++) track(eye, step.track);
    } else if ("set_clock_ms" in step) {
      world.wallMs += step.set_clock_ms;
    } else if ("flush_ms" in step) {
      const result = { want: step.flushed };
      results.push(result);
      void eye.flush({ timeout: step.flush_ms }).then((flushed) => (result.got = flushed));
    } else {
      void eye.close({ timeout: step.close_ms });
    }
  }
  await world.advance(it.until_ms ?? it.steps.at(-1).at_ms + 600_000);

  const got = world.requests.map((request) => ({ ...request, ...JSON.parse(request.body) }));
  assert.equal(got.length, it.requests.length, `requests: ${JSON.stringify(got.map(({ at, events }) => ({ at, events: events.length })))}`);
  it.requests.forEach((want, i) => compareRequest(want, got, i));
  for (const { want, got } of results) assert.equal(got, want, "flushed");

  const wantErrors = it.errors ?? [];
  wantErrors.forEach((error) => known(error, "code", "events"));
  assert.deepEqual(errors.map((error, i) => pick(error, wantErrors[i] ?? error)), wantErrors);
  for (const { message } of errors) assert.ok(!message.includes("eye_w_secret"));

  const statuses = outages.map((reason) => reason === undefined ? null : Number(/the server answered (\d+)/.exec(reason)?.[1] ?? 0));
  assert.deepEqual(statuses, it.outages ?? []);
  for (const reason of outages) assert.ok(reason === undefined || (reason !== "" && !reason.includes("eye_w_secret")), reason);
  assert.equal(eye.stats.lastFailure, outages.at(-1));

  const sent = got.filter((_, i) => it.requests[i].same_as === undefined).flatMap((request) => request.events);
  const wantRejected = (it.rejected ?? []).map((want) => {
    known(want, "event", "codes");
    return { id: sent[want.event].id, event: sent[want.event], codes: want.codes };
  });
  assert.deepEqual(rejected.map(({ id, event, problems }) => ({ id, event, codes: problems.map((p) => p.code) })), wantRejected);
  assert.equal(eye.stats.queued, it.queued, "queued");
  if (it.queued === 0) assert.equal(eye.stats.queuedBytes, 0);
}

function track(eye, event) {
  known(event, "id", "session_id", "category", "name", "data", "timestamp");
  const data = event.data && "$special" in event.data ? special(event.data) : event.data;
  eye.track(event.category, event.name, data, { sessionId: event.session_id, id: event.id, timestamp: event.timestamp });
}

function special({ $special: kind, bytes }) {
  switch (kind) {
    case "nan": return { n: NaN };
    case "infinity": return { n: Infinity };
    case "lone_surrogate": return { n: "\ud800" };
    case "not_an_object": return ["not an object"];
    case "big_integer": return { n: 123456789012345678901234567890n };
    case "text": return { n: "x".repeat(bytes) };
    case "circular": {
      const data = {};
      data.n = data;
      return data;
    }
    default: throw new Error(`unknown special value ${kind}`);
  }
}

function compareRequest(want, got, i) {
  known(want, "at_ms", "events", "sent_at", "same_as", "contains");
  const { at, body, events, sent_at } = got[i];
  assert.ok(at >= want.at_ms[0] && at <= want.at_ms[1], `request ${i} at ${at} ms, not within ${want.at_ms}`);
  if (want.events) {
    assert.equal(events.length, want.events.length, `events of request ${i}`);
    want.events.forEach((event, n) => {
      known(event, "id", "session_id", "category", "name", "data", "timestamp", "seq");
      assert.deepEqual(pick(events[n], event), event, `event ${n} of request ${i}`);
    });
  }
  for (const event of events) {
    assert.deepEqual(Object.keys(event), ["id", "session_id", "category", "name", "data", "timestamp", "seq", "sender"]);
  }
  if (want.sent_at) assert.equal(sent_at, want.sent_at, `sent_at of request ${i}`);
  if (want.contains) assert.ok(body.includes(want.contains), `request ${i} does not contain ${want.contains}`);
  if (want.same_as !== undefined) {
    const events = (text) => text.slice(text.indexOf('"events":'));
    assert.equal(events(body), events(got[want.same_as].body), `request ${i} is not the same as ${want.same_as}`);
  }
}

const pick = (object, like) => Object.fromEntries(Object.keys(like).map((name) => [name, object[name]]));
