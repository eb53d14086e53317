// Runs the script in Debian's Chromium, against a server of The Eye.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { start } from "./eye.mjs";
import { launch, shop, stopWatching, watch } from "./shop.mjs";

let eye, site, browser, key;
const origins = ["localhost", "shop.test", "www.shop.test"];

before(async () => {
  eye = await start();
  site = await shop();
  key = await eye.key(...origins.map((host) => `http://${host}:${site.port}`));
  browser = await launch();
});

after(async () => {
  await browser?.close();
  site?.stop();
  await eye?.stop();
});

beforeEach(() => browser.context.setOffline(false));

/** tag is the tag of the script; navigator.webdriver is true here, so it asks for that. */
const tag = (attributes = "data-autocapture", file = "eye.js") =>
  `<script src="/${file}" data-key="${key}" data-url="${eye.url}" data-webdriver ${attributes}></script>`;

/** made is a page whose script makes a client with options, as window.eye. */
const made = (options = {}) => `<script src="/eye.js"></script><script>
  var errors = [], rejected = [];
  var eye = new theeye.Eye({url: "${eye.url}", key: "${key}", webdriver: true, onError: (e) => errors.push(e), onRejected: (r) => rejected.push(r), ...${JSON.stringify(options)}});
</script>`;

/** fresh returns a new page of a profile without stored data, and the requests from then on. */
async function fresh() {
  const page = await browser.context.newPage();
  await page.goto(`http://localhost:${site.port}/index.js`);
  for (const host of origins) {
    const session = await browser.context.newCDPSession(page);
    await session.send("Storage.clearDataForOrigin", { origin: `http://${host}:${site.port}`, storageTypes: "all" });
  }
  await watch(page);
  return { page, sent: (eye.requests = []) };
}

const at = (path = "/", host = "localhost") => `http://${host}:${site.port}${path}`;

/** go follows a link, and waits for the other page. */
async function go(page, selector, path) {
  await page.click(selector);
  await page.waitForURL((url) => url.pathname === path);
}

async function close(page) {
  await stopWatching(page);
  await page.close();
}

/** eventually waits for a condition, which returns what is then returned. */
async function eventually(what, condition, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < end, `${what}: not after ${seconds} s`);
    await sleep(50);
  }
}

/** stored waits until a session has so many events, and no more, and returns them. */
async function stored(session, count) {
  const events = await eventually(`${count} events of ${session}`, async () => {
    const found = await eye.session(session);
    return found.length >= count && found;
  }).catch(async (error) => {
    throw new Error(`${error.message}: ${JSON.stringify((await eye.session(session)).map(({ name, sender, seq }) => [name, sender, seq]))}`);
  });
  assert.equal(events.length, count, JSON.stringify(events.map(({ name, sender, seq }) => [name, sender, seq])));
  inOrder(events);
  return events;
}

/** nothingOf checks that the server has no event of a session, some time after it could have come. */
async function nothingOf(session) {
  await sleep(500);
  assert.deepEqual((await eye.session(session)).map(({ name }) => name), []);
}

/** inOrder checks that each event is there once, and that those of a sender have no hole. */
function inOrder(events) {
  assert.equal(new Set(events.map(({ id }) => id)).size, events.length);
  const seqs = Object.groupBy ? Object.groupBy(events, ({ sender }) => sender) : group(events);
  for (const [sender, list] of Object.entries(seqs)) {
    assert.deepEqual(list.map(({ seq }) => seq), list.map((_, i) => i + 1), `the order of ${sender}`);
  }
}

function group(events) {
  const groups = {};
  for (const event of events) (groups[event.sender] ??= []).push(event);
  return groups;
}

const names = (events) => events.map(({ name, data }) => `${name} ${data.path ?? data.n}`);

for (const host of ["localhost", "shop.test"]) {
  test(`a visit to the shop at ${host}`, async () => {
    site.tag = tag();
    const { page, sent } = await fresh();
    await page.goto(at("/?utm_source=mail&email=ada@example.com", host));
    assert.equal(await page.evaluate(() => isSecureContext), host === "localhost");
    const session = await page.evaluate(() => theeye.eye.session);
    await go(page, "#product", "/product");
    await page.click("#add b");
    await page.click("#next");
    await eventually("the single page has moved", async () => sent.some(({ body }) => body.includes("/product/next")));
    await page.evaluate(() => addEventListener("pageshow", (event) => (window.restored = event.persisted)));
    await go(page, "#cart", "/cart");
    await page.goBack({ waitUntil: "commit" });
    await page.waitForFunction(() => window.restored); // from the back/forward cache
    await go(page, "#cart", "/cart");
    await go(page, "[name=go]", "/thanks");
    const events = await stored(session, 13);
    const isVitals = ({ name }) => name === "web vitals";
    assert.deepEqual(names(events.filter((event) => !isVitals(event))), [
      "pageview /",
      "pageview /product", "add to cart /product", "pageview /product/next",
      "pageview /cart",
      "pageview /product/next", // from the back/forward cache
      "pageview /cart", "form submit /cart",
      "pageview /thanks",
    ]);
    // When a page comes from that cache, the other is hidden only afterwards.
    assert.deepEqual(names(events.filter(isVitals)), ["web vitals /", "web vitals /product/next", "web vitals /cart", "web vitals /cart"]);
    assert.equal(new Set(events.map(({ sender }) => sender)).size, 5, "a sender for each page load");

    const [first, product, add, next] = events.filter((event) => !isVitals(event));
    assert.equal(first.data.url, at("/", host));
    assert.equal(first.data.utm_source, "mail");
    assert.deepEqual([product.data.url, product.data.referrer, product.data.title], [at("/product", host), at("/", host), "Product"]);
    assert.deepEqual(add.data, { path: "/product", product_number: "4711" });
    assert.deepEqual([next.data.url, next.data.title], [at("/product/next", host), "Next product"]);
    const submit = events.find(({ name }) => name === "form submit");
    assert.deepEqual(submit.data, { path: "/cart", form: "order", fields: ["email", "password", "note", "country", "token", "terms"] });
    const vitals = events.find(isVitals).data;
    assert.equal(vitals.cls, 0, "a page without layout shifts");
    assert.ok(vitals.ttfb > 0 && vitals.fcp > 0 && vitals.lcp >= vitals.fcp, JSON.stringify(vitals));

    await eventually("nothing is stored in the browser", () => page.evaluate(rows).then((n) => n === 0));
    assert.ok(sent.length >= 3, `${sent.length} requests`);
    for (const { path, headers, body } of sent) {
      assert.doesNotMatch(body, /hunter2|secret|ada@|color=/);
      assert.match(path, /^\/v1\/events\?quiet=1&key=/);
      assert.match(headers["content-type"], /^text\/plain/);
      assert.equal(headers["content-encoding"], undefined);
    }
    await close(page);
  });
}

/** rows returns how many events the database of a page holds. It runs in the page. */
function rows() {
  return new Promise((resolve, reject) => {
    const open = indexedDB.open("theeye");
    open.onsuccess = () => {
      const count = open.result.transaction("events").objectStore("events").count();
      count.onsuccess = () => resolve(count.result);
      open.result.close();
    };
    open.onerror = () => reject(open.error);
  });
}

/** burst tracks 200 events, 70 KB in all. It runs in the page. */
function burst(client = window.eye ?? theeye.eye) {
  for (let n = 0; n < 200; n++) client.track("test", "burst", { n, filling: "x".repeat(100) });
  return client.session;
}

describe("a tab that ends with 200 unsent events", () => {
  const ends = {
    "is closed": async (page) => page.close(),
    "goes elsewhere": async (page) => page.goto("about:blank"),
    "is closed offline": async (page) => page.close(),
    "crashes": async (page) => {
      const session = await browser.context.newCDPSession(page);
      session.send("Page.crash").catch(() => {});
      await page.waitForEvent("crash");
    },
  };
  for (const [name, end] of Object.entries(ends)) {
    test(name, async () => {
      site.tag = made();
      const { page } = await fresh();
      await page.goto(at());
      await page.evaluate(() => eye.session);
      await eventually("the database is open", () => page.evaluate(rows).then((n) => n === 0));
      // The server cannot be reached, or the burst is on its way.
      if (name.includes("offline") || name === "crashes") await browser.context.setOffline(true);
      const session = await page.evaluate(burst);
      await end(page);
      if (name === "crashes") await page.close();
      await browser.context.setOffline(false);
      const next = await browser.context.newPage();
      await next.goto(at("/cart"));
      const events = await stored(session, 200);
      assert.deepEqual(events.map(({ data }) => data.n), events.map((_, n) => n));
      await eventually("nothing is stored in the browser", () => next.evaluate(rows).then((n) => n === 0));
      await close(next);
      await page.close();
    });
  }
});

test("a page that is offline for a while", async () => {
  site.tag = made();
  const { page } = await fresh();
  await page.goto(at());
  await browser.context.setOffline(true);
  const session = await page.evaluate(() => {
    eye.track("test", "offline", { n: 0 });
    return eye.session;
  });
  await eventually("the event is stored", () => page.evaluate(rows).then((n) => n === 1));
  await page.evaluate(() => eye.track("test", "offline", { n: 1 }));
  assert.equal(await page.evaluate(() => eye.flush({ timeout: 700 })), false);
  await browser.context.setOffline(false);
  await stored(session, 2);
  assert.equal(await page.evaluate(() => eye.flush()), true);
  assert.deepEqual(await page.evaluate(() => errors), []);
  await close(page);
});

test("a page that is shown waits as long as the server has demanded", async () => {
  site.tag = made();
  const { page } = await fresh();
  const times = [];
  await page.route(`${eye.url}/**`, async (route) => {
    times.push(Date.now());
    const headers = { "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After", "Retry-After": "2" };
    await (times.length === 1 ? route.fulfill({ status: 429, headers }) : route.continue());
  });
  await page.goto(at());
  const session = await page.evaluate(() => {
    eye.track("test", "limited");
    return eye.session;
  });
  await eventually("the first attempt", async () => times.length === 1);
  await page.evaluate(() => {
    for (let i = 0; i < 3; i++) document.dispatchEvent(new Event("visibilitychange")); // it is visible
    dispatchEvent(new Event("online"));
  });
  await stored(session, 1);
  assert.ok(times[1] - times[0] >= 1900, `after ${times[1] - times[0]} ms`);
  await close(page);
});

test("two tabs share a session", async () => {
  site.tag = made();
  const { page } = await fresh();
  await page.goto(at());
  const other = await browser.context.newPage();
  await other.goto(at("/product"));
  const session = await page.evaluate(() => eye.session);
  assert.equal(await other.evaluate(() => eye.session), session);
  for (let n = 0; n < 10; n++) {
    await (n % 2 ? other : page).evaluate((n) => eye.track("test", "tab", { n }), n);
    await sleep(2); // the clock of events has milliseconds
  }
  const events = await stored(session, 10);
  assert.deepEqual(events.map(({ data }) => data.n), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(new Set(events.map(({ sender }) => sender)).size, 2);
  await close(other);
  await close(page);
});

test("a duplicated tab has the session of the tab and a sender of its own", async () => {
  site.tag = made({ session: "tab" });
  const { page } = await fresh();
  await page.goto(at());
  const session = await page.evaluate(() => {
    eye.track("test", "first", { n: 0 });
    return eye.session;
  });
  const opening = page.waitForEvent("popup");
  await page.evaluate(() => void open(location.href)); // with a copy of sessionStorage
  const copy = await opening;
  await copy.waitForLoadState();
  await copy.evaluate(() => eye.track("test", "second", { n: 1 }));
  await page.evaluate(() => eye.track("test", "third", { n: 2 }));
  const events = await stored(session, 3);
  assert.deepEqual(events.map(({ name, seq }) => [name, seq]), [["first", 1], ["second", 1], ["third", 2]]);
  const alone = await browser.context.newPage();
  await alone.goto(at());
  assert.notEqual(await alone.evaluate(() => eye.session), session);
  for (const one of [alone, copy, page]) await close(one);
});

test("with Global Privacy Control nothing identifying leaves, and nothing is stored", async () => {
  site.tag = tag() + "<script>var eye = theeye.eye</script>";
  const { page, sent } = await fresh();
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, "globalPrivacyControl", { value: true }));
  await page.goto(at("/?utm_source=mail&email=ada@example.com"));
  await go(page, "#product", "/product");
  await page.click("#add");
  const first = await page.evaluate(() => {
    eye.track("test", "explicit", { n: 0 });
    return eye.session;
  });
  assert.equal(await page.evaluate(() => eye.flush()), true);
  await page.evaluate(() => eye.track("test", "explicit", { n: 1 })); // leaves with the page
  await go(page, "#cart", "/cart");
  const second = await page.evaluate(() => eye.session);
  assert.notEqual(second, first, "the session is that of one page");
  const events = await stored(first, 2);
  assert.deepEqual(events.map(({ name, data }) => [name, data]), [["explicit", { n: 0 }], ["explicit", { n: 1 }]]);
  assert.deepEqual(await page.evaluate(async () => [localStorage.length, sessionStorage.length, document.cookie, (await indexedDB.databases()).length]), [0, 0, "", 0]);
  assert.deepEqual(await browser.context.cookies(at()), []);
  assert.equal(sent.length, 2);
  for (const { headers, body } of sent) {
    assert.deepEqual([headers.referer, headers.cookie], [undefined, undefined]);
    assert.doesNotMatch(body, /localhost|utm|mail|ada@|pageview|add to cart/);
  }
  await close(page);
});

test("nothing is recorded where a program drives the browser, unless asked", async () => {
  site.tag = tag().replace("data-webdriver", "") + "<script>var eye = theeye.eye; eye.track('test', 'driven')</script>";
  const { page, sent } = await fresh();
  await page.goto(at());
  assert.equal(await page.evaluate(() => eye.flush()), true);
  assert.ok(!sent.some(({ body }) => body.includes("driven")));
  assert.equal(await page.evaluate(async () => (await indexedDB.databases()).length), 0);
  await close(page);
});

test("opting out is remembered, and drops what waits", async () => {
  site.tag = made();
  const { page, sent } = await fresh();
  await page.goto(at());
  await page.evaluate(() => {
    eye.track("test", "dropped");
    eye.optOut();
    eye.track("test", "silent");
  });
  await page.goto(at("/cart"));
  await page.evaluate(() => eye.track("test", "silent"));
  assert.equal(await page.evaluate(() => eye.flush()), true);
  assert.ok(!sent.some(({ body }) => /dropped|silent/.test(body)));
  assert.equal(await page.evaluate(rows), 0);
  const session = await page.evaluate(() => {
    eye.optIn();
    eye.track("test", "recorded");
    return eye.session;
  });
  assert.deepEqual((await stored(session, 1)).map(({ name }) => name), ["recorded"]);
  await close(page);
});

test("opting out in one tab drops what waits in another", async () => {
  site.tag = made();
  const { page } = await fresh();
  await page.goto(at());
  const other = await browser.context.newPage();
  await other.goto(at("/product"));
  await browser.context.setOffline(true);
  await other.evaluate(() => eye.track("test", "dropped"));
  const session = await other.evaluate(() => eye.session);
  await page.evaluate(() => eye.optOut());
  await eventually("the other tab has nothing", () => other.evaluate(() => eye.stats.queued === 0));
  await browser.context.setOffline(false);
  assert.equal(await other.evaluate(() => eye.flush()), true);
  await close(other);
  await nothingOf(session);
  await close(page);
});

test("opting out at the start drops what an earlier page has left", async () => {
  site.tag = made();
  const { page } = await fresh();
  await page.goto(at());
  await browser.context.setOffline(true);
  const session = await page.evaluate(() => {
    navigator.sendBeacon = () => false; // a beacon of the ending page has a network
    eye.track("test", "dropped");
    return eye.session;
  });
  await eventually("the event is stored", () => page.evaluate(rows).then((n) => n === 1));
  await page.goto("about:blank");
  site.tag = `${made()}<script>eye.optOut();</script>`;
  await browser.context.setOffline(false);
  await page.goto(at("/cart"));
  await eventually("nothing is stored", () => page.evaluate(rows).then((n) => n === 0));
  assert.equal(await page.evaluate(() => eye.flush()), true);
  await nothingOf(session);
  await close(page);
});

test("a page that lives long stores as many events as at its beginning", async () => {
  site.tag = made({ queueEvents: 5, batchDelay: 0 });
  const { page } = await fresh();
  await page.goto(at());
  await eventually("the database is open", () => page.evaluate(rows).then((n) => n === 0));
  const settled = await page.evaluate(async () => {
    for (let round = 0; round < 4; round++) {
      for (let n = 0; n < 5; n++) eye.track("test", "kept", { n });
      if (!(await eye.flush())) return false;
    }
    return true;
  });
  assert.equal(settled, true);
  await browser.context.setOffline(true);
  await page.evaluate(() => {
    for (let n = 0; n < 5; n++) eye.track("test", "kept", { n });
  });
  await eventually("all events are stored", () => page.evaluate(rows).then((n) => n === 5));
  await browser.context.setOffline(false);
  assert.equal(await page.evaluate(() => eye.flush()), true);
  await eventually("none is stored", () => page.evaluate(rows).then((n) => n === 0));
  await close(page);
});

test("the console tells of kinds of autocapture that do not exist", async () => {
  site.tag = tag('data-autocapture="pageviews, click"');
  const { page } = await fresh();
  const warnings = [];
  page.on("console", (message) => message.type() === "warning" && warnings.push(message.text()));
  await page.goto(at());
  const session = await page.evaluate(() => theeye.eye.session);
  assert.deepEqual((await stored(session, 1)).map(({ name }) => name), ["pageview"]);
  assert.deepEqual(warnings, ["theeye: unknown options: autocapture.click"]);
  await close(page);
});

test("storage that throws: events are in memory alone", async () => {
  site.tag = made();
  const { page } = await fresh();
  await page.addInitScript(() => {
    IDBFactory.prototype.open = () => { throw new DOMException("no", "SecurityError"); };
    Object.defineProperty(window, "localStorage", { get: () => { throw new DOMException("no", "SecurityError"); } });
  });
  await page.goto(at());
  const session = await page.evaluate(() => {
    eye.track("test", "kept", { n: 0 });
    eye.optOut(); // without a memory
    eye.optIn();
    for (let n = 0; n < 3; n++) eye.track("test", "kept", { n });
    return eye.session;
  });
  const events = await eventually("the events", async () => (await eye.session(session)).length === 3 && eye.session(session));
  assert.deepEqual(events.map(({ data }) => data.n), [0, 1, 2]);
  assert.deepEqual(await page.evaluate(() => errors.map(({ code, message }) => [code, message])), [["storage", "events are in memory alone: SecurityError"]]);
  await close(page);
});

test("a database that fails later", async () => {
  site.tag = made();
  const { page } = await fresh();
  await page.goto(at());
  await eventually("the database is open", () => page.evaluate(rows).then((n) => n === 0));
  const session = await page.evaluate(() => {
    IDBDatabase.prototype.transaction = () => { throw new DOMException("full", "QuotaExceededError"); };
    for (let n = 0; n < 3; n++) eye.track("test", "kept", { n });
    return eye.session;
  });
  await stored(session, 3);
  assert.deepEqual(await page.evaluate(() => errors.map(({ message }) => message)), ["events are in memory alone: QuotaExceededError"]);
  await close(page);
});

test("a session ends after 30 idle minutes and after a day", async () => {
  site.tag = made();
  const { page } = await fresh();
  await page.goto(at());
  const sessions = await page.evaluate(() => {
    const shift = (began, used) => {
      const [, , id] = localStorage.theeye_session.split(" ");
      localStorage.theeye_session = `${Date.now() - began} ${Date.now() - used} ${id}`;
      return eye.session;
    };
    const minute = 60_000;
    return [eye.session, shift(29 * minute, 29 * minute), shift(31 * minute, 31 * minute), shift(23 * 60 * minute, minute), shift(25 * 60 * minute, minute)];
  });
  assert.equal(sessions[1], sessions[0]);
  assert.notEqual(sessions[2], sessions[1]);
  assert.equal(sessions[3], sessions[2]);
  assert.notEqual(sessions[4], sessions[3]);
  assert.equal(await page.evaluate(() => (eye.setSession("mine is it"), eye.session)), "mine is it");
  await page.goto(at("/cart"));
  assert.equal(await page.evaluate(() => eye.session), "mine is it");
  await close(page);
});

test("a cookie shares the session with subdomains", async () => {
  site.tag = made({ cookieDomain: "shop.test" });
  const { page } = await fresh();
  await page.goto(at("/", "shop.test"));
  const session = await page.evaluate(() => eye.session);
  await page.goto(at("/", "www.shop.test"));
  assert.equal(await page.evaluate(() => eye.session), session);
  // Idle here, but not on another subdomain.
  const idle = (ms) => page.evaluate((ms) => {
    const [began, , id] = localStorage.theeye_session.split(" ");
    localStorage.theeye_session = `${began} ${Date.now() - ms} ${id}`;
    return eye.session;
  }, ms);
  assert.equal(await idle(3_600_000), session);
  await browser.context.clearCookies();
  assert.notEqual(await idle(3_600_000), session);
  await page.evaluate(() => eye.setSession("a; session = ä"));
  const [cookie] = (await browser.context.cookies(at("/", "shop.test"))).filter(({ name }) => name === "theeye_session");
  assert.equal(decodeURIComponent(cookie.value), "a; session = ä");
  assert.deepEqual([cookie.domain, cookie.sameSite], [".shop.test", "Lax"]);
  await close(page);
});

test("a session in memory, and one that is given", async () => {
  site.tag = made({ session: "memory" });
  const { page } = await fresh();
  await page.goto(at());
  const session = await page.evaluate(() => eye.session);
  assert.equal(await page.evaluate(() => eye.session), session);
  assert.equal(await page.evaluate(() => localStorage.length + sessionStorage.length), 0);
  site.tag = made({ sessionId: "given" });
  await page.goto(at());
  assert.equal(await page.evaluate(() => eye.session), "given");
  await close(page);
});

test("errors are recorded without queries, ten in a page", async () => {
  site.tag = tag("data-autocapture='errors'");
  const { page } = await fresh();
  await page.goto(at("/cart"));
  const session = await page.evaluate(async () => {
    const script = document.createElement("script");
    script.textContent = "function fail() { throw new Error('cannot load https://shop.test/a?token=secret-token now') }";
    document.body.append(script);
    setTimeout(fail);
    await new Promise((resolve) => addEventListener("error", resolve, { once: true }));
    for (let i = 0; i < 12; i++) Promise.reject(new Error("refused"));
    return theeye.eye.session;
  });
  const events = await stored(session, 10);
  assert.deepEqual([events[0].category, events[0].name, events[0].data.message], ["error", "uncaught error", "Uncaught Error: cannot load https://shop.test/a now"]);
  assert.match(events[0].data.stack, /fail/);
  assert.doesNotMatch(JSON.stringify(events), /secret/);
  assert.deepEqual([events[1].name, events[1].data.message], ["unhandled rejection", "refused"]);
  await close(page);
});

test("only listed query parameters are recorded, and closing ends it", async () => {
  site.tag = made({ autocapture: { query: ["color"], vitals: false } });
  const { page } = await fresh();
  await page.goto(at("/product?color=red&email=ada@example.com"));
  const session = await page.evaluate(async () => {
    history.replaceState({}, "", "/product?color=blue&email=x"); // another address
    await new Promise((resolve) => setTimeout(resolve, 20));
    history.replaceState({}, "", "/product?color=blue&email=y"); // the same
    await new Promise((resolve) => setTimeout(resolve, 20));
    await eye.close();
    document.querySelector("#add").click();
    return eye.session;
  });
  const events = await stored(session, 2);
  assert.deepEqual(events.map(({ data }) => data.url), [at("/product?color=red"), at("/product?color=blue")]);
  assert.deepEqual(await page.evaluate(() => errors), []);
  await close(page);
});

test("a key that is not valid: events stay stored for a page with a good one", async () => {
  site.tag = made({ key: "eye_w_wrong" });
  const { page } = await fresh();
  await page.goto(at());
  const session = await page.evaluate(async () => {
    eye.track("test", "kept", { n: 0 });
    window.flushed = await eye.flush();
    return eye.session;
  });
  assert.equal(await page.evaluate(() => flushed), false);
  await eventually("the event is stored", () => page.evaluate(rows).then((n) => n === 1));
  const errors = await page.evaluate(() => errors);
  assert.deepEqual(errors.map(({ code, events }) => [code, events]), [["unauthorized", 1]]);
  assert.match(errors[0].message, /^the key was refused: the server answered 401: .*key/);
  assert.doesNotMatch(JSON.stringify(errors), /eye_w_/);
  site.tag = made();
  await page.goto(at("/cart"));
  assert.deepEqual((await stored(session, 1)).map(({ data }) => data.n), [0]);
  await close(page);
});

test("an event that the server rejects is reported to the page", async () => {
  site.tag = made();
  const { page } = await fresh();
  await page.goto(at());
  const rejected = await page.evaluate(async () => {
    eye.track("test", "future", {}, { timestamp: "2150-01-01T00:00:00Z" });
    await eye.flush();
    await Promise.resolve();
    return rejected;
  });
  assert.deepEqual(rejected.map(({ event, problems }) => [event.name, problems[0].code]), [["future", "timestamp_in_future"]]);
  await close(page);
});

test("what is under way with keepalive stays within 64 KiB, one request at a time", async () => {
  site.tag = made();
  const { page } = await fresh();
  await page.addInitScript(() => {
    const under = (window.under = { now: 0, most: 0, fetches: 0, mostFetches: 0, beacons: 0 });
    const add = (bytes) => (under.most = Math.max(under.most, (under.now += bytes)));
    const original = window.fetch;
    window.fetch = async (url, init) => {
      if (!init.keepalive) return original(url, init);
      const bytes = new TextEncoder().encode(init.body).length;
      add(bytes);
      under.mostFetches = Math.max(under.mostFetches, ++under.fetches);
      try {
        await window.gate;
        return await original(url, init);
      } finally {
        under.fetches--;
        under.now -= bytes;
      }
    };
    const beacon = navigator.sendBeacon;
    navigator.sendBeacon = (url, body) => {
      under.beacons++;
      add(new TextEncoder().encode(body).length);
      return beacon.call(navigator, url, body);
    };
  });
  await page.goto(at());
  const session = await page.evaluate(() => {
    let open;
    window.gate = new Promise((resolve) => (open = resolve));
    for (let n = 0; n < 300; n++) eye.track("test", "budget", { n, filling: "x".repeat(n < 100 ? 20 : 300) });
    const hide = (state) => {
      Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    };
    setTimeout(() => {
      hide("hidden");
      hide("hidden"); // sends nothing twice
      window.hiddenAt = { ...under };
      hide("visible");
      open();
    }, 50);
    return eye.session;
  });
  await stored(session, 300);
  const { most, mostFetches, beacons } = await page.evaluate(() => under);
  assert.ok(most <= 65_536, `${most} bytes were under way`);
  assert.equal(mostFetches, 1);
  assert.ok(beacons >= 0);
  const hidden = await page.evaluate(() => hiddenAt);
  assert.ok(hidden.now > 50_000 || hidden.beacons === 1, JSON.stringify(hidden));
  await close(page);
});

test("the minified script, and the module", async () => {
  const { page } = await fresh();
  site.tag = tag("", "eye.min.js");
  await page.goto(at());
  const session = await page.evaluate(() => {
    theeye.eye.track("test", "minified");
    return theeye.eye.session;
  });
  site.tag = `<script type="module">import { Eye } from "/index.js";
    window.eye = new Eye({url: "${eye.url}", key: "${key}", webdriver: true}); eye.track("test", "module");</script>`;
  await page.goto(at());
  assert.deepEqual((await stored(session, 2)).map(({ name }) => name), ["minified", "module"]);
  await close(page);
});

/** example returns an example as it would be on a site. */
function example(name) {
  return readFileSync(new URL(`../../examples/${name}`, import.meta.url), "utf8")
    .replace("https://eye.example.com", eye.url)
    .replace("eye_w_…", key)
    .replace("data-autocapture", "data-autocapture data-webdriver")
    .replace("commonData:", "webdriver: true, commonData:")
    .replace('<script type="module">', '<script type="importmap">{"imports": {"theeye": "/index.js"}}</script>\n<script type="module">');
}

test("the page of the guide, with the script that the server has", async () => {
  site.pages["/example"] = example("page.html");
  const { page } = await fresh();
  await page.goto(at("/example"));
  await page.click("[data-eye-product]");
  await page.click("text=Wish");
  const events = await stored(await page.evaluate(() => theeye.eye.session), 3);
  assert.deepEqual(events.map(({ category, name, data }) => [category, name, data.product]), [
    ["page interaction", "pageview", undefined], ["page interaction", "add to cart", "4711"], ["shop", "wish", "4711"],
  ]);
  await close(page);
});

test("the single-page application of the guide", async () => {
  site.pages["/app"] = example("single-page.html");
  const { page } = await fresh();
  await page.goto(at("/app?color=red&size=3"));
  await page.click("a");
  const session = await page.evaluate(() => localStorage.theeye_session.split(" ")[2]);
  const events = await stored(session, 3);
  assert.deepEqual(events.map(({ name, data }) => [name, data.url ?? data.to, data.release]), [
    ["pageview", at("/app?color=red"), "2026-11"], ["route", "/product", "2026-11"], ["pageview", at("/product"), "2026-11"],
  ]);
  await close(page);
});
