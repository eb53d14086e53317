import assert from "node:assert/strict";
import { test } from "node:test";
import { listen } from "../src/lib/tail.ts";

test("nothing is opened after the end", async () => {
  let opened = 0;
  let fail = () => {};
  let answer = () => {};
  let retry = () => {};
  class Source {
    static CLOSED = 2;
    readyState = 2;
    constructor() {
      opened++;
    }
    addEventListener(kind: string, f: () => void) {
      if (kind === "error") fail = f;
    }
    close() {}
  }
  Object.assign(globalThis, {
    EventSource: Source,
    window: { setTimeout: (f: () => void) => (retry = f) },
    document: { visibilityState: "visible", addEventListener() {}, removeEventListener() {} },
    fetch: () => new Promise((done) => (answer = () => done(new Response("{}")))),
  });
  const tail = listen(new URLSearchParams(), () => {}, () => {});
  fail();
  retry();
  tail.close();
  answer();
  await new Promise((done) => setTimeout(done, 10));
  assert.equal(opened, 1);
});
