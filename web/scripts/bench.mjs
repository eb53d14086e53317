// Measures the page with EVENTS (2000000) stored events, one session of which has 50,000. It prints
// the p95 of what each screen waits for from a warm server, the time until the first row can be
// clicked on a processor that is 4 times slower, and what /live costs at RATE (1000) events per
// second in MINUTES (5).
import { setTimeout as sleep } from "node:timers/promises";
import { launch, open, signIn } from "../test/browser/browser.mjs";
import { start } from "../test/browser/eye.mjs";

const total = Number(process.env.EVENTS ?? 2_000_000);
const rate = Number(process.env.RATE ?? 1000);
const minutes = Number(process.env.MINUTES ?? 5);
const rounds = 20;
const long = "a-long-session";
const names = ["pageview", "cta click", "submit", "search", "add to cart"];
const eye = await start();
const browser = await launch();
try {
  const key = await eye.app("bench");
  await fill(key);
  const page = await open(browser, eye);
  await signIn(page, eye);
  await screens(page);
  await scroll(page);
  await firstRow(page);
  await live(page, key);
} finally {
  await browser.close();
  await eye.stop();
}

function make(i, at) {
  return { session_id: i % 40 === 0 && i / 40 < 50_000 ? long : `s-${Math.floor(i / 12)}`, category: i % 7 ? "page interaction" : "form interaction", name: names[i % names.length], data: { path: `/p/${i % 300}`, n: i }, timestamp: new Date(at).toISOString() };
}

/** fill stores the events, over the last week. */
async function fill(key) {
  const began = Date.now();
  const first = began - 7 * 86_400_000;
  const size = 5000;
  let next = 0;
  const send = async () => {
    for (let from = next; from < total; from = next) {
      next = from + size;
      const events = Array.from({ length: Math.min(size, total - from) }, (_, k) => make(from + k, first + ((from + k) / total) * (7 * 86_400_000 - 60_000)));
      for (;;) {
        const answer = await fetch(`${eye.url}/v1/events?quiet=1`, { method: "POST", headers: { authorization: `Bearer ${key}`, "content-type": "application/json" }, body: JSON.stringify(events) });
        await answer.text();
        if (answer.ok) break;
        await sleep(500);
      }
    }
  };
  await Promise.all([send(), send(), send(), send()]);
  while ((await eye.call("GET", "/v1/books?app=bench")).apps[0].pending > 0) await sleep(500);
  console.log(`stored ${total} events in ${Math.round((Date.now() - began) / 1000)} s`);
}

function p95(times) {
  return [...times].sort((a, b) => a - b)[Math.min(times.length - 1, Math.floor(times.length * 0.95))];
}

/** screens measures what each screen asks for, one request at a time and as a whole. */
async function screens(page) {
  for (const path of ["/overview?range=7d", "/overview", "/sessions?range=7d", "/events?range=7d", "/events", "/rejections?range=7d", "/types?range=7d", `/sessions/${long}`]) {
    const answers = new Map();
    const whole = [];
    for (let i = 0; i < rounds; i++) {
      let began = Date.now();
      let ended = began;
      const note = async (request) => {
        const url = new URL(request.url());
        if (!url.pathname.startsWith("/v1/")) return;
        await request.response().catch(() => undefined);
        const t = request.timing();
        if (t.responseEnd < 0) return;
        answers.set(url.pathname, [...(answers.get(url.pathname) ?? []), t.responseEnd]);
        ended = Date.now();
      };
      page.on("requestfinished", note);
      began = Date.now();
      await page.goto(eye.url + path);
      await page.waitForLoadState("networkidle");
      page.off("requestfinished", note);
      if (i > 1) whole.push(ended - began);
    }
    const slow = [...answers].map(([name, times]) => [name, p95(times.slice(2))]).sort((a, b) => b[1] - a[1]).slice(0, 4).map(([name, ms]) => `${name} ${Math.round(ms)} ms`);
    console.log(`${path}: all answers within ${p95(whole)} ms at p95; the slowest: ${slow.join(", ")}`);
  }
}

/** scroll measures a jump to the end of a long session, and frames while it is scrolled. */
async function scroll(page) {
  await page.goto(`${eye.url}/sessions/${long}`);
  const list = page.getByRole("region", { name: "Events of the session" });
  await list.locator(".row.event").first().waitFor();
  const began = Date.now();
  await list.evaluate((e) => e.scrollTo(0, e.scrollHeight));
  await page.waitForFunction(() => !document.querySelector(".row.waiting"), undefined, { timeout: 120_000 });
  console.log(`a jump to the end of a session of 50000 events: ${Date.now() - began} ms`);
  const frames = await page.evaluate(async () => {
    const list = document.querySelector("[data-rows]");
    const times = [];
    let last = performance.now();
    for (let i = 0; i < 200; i++) {
      list.scrollTo(0, list.scrollHeight * (1 - i / 200));
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      times.push(now - last);
      last = now;
    }
    return times;
  });
  console.log(`frames while it is scrolled: ${p95(frames).toFixed(1)} ms at p95`);
}

/** firstRow measures, on a slow processor, from navigation until the first row can be clicked. */
async function firstRow(page) {
  const session = await browser.context.newCDPSession(page);
  await session.send("Emulation.setCPUThrottlingRate", { rate: 4 });
  for (const path of ["/events", "/sessions"]) {
    const times = [];
    for (let i = 0; i < 5; i++) {
      const began = Date.now();
      await page.goto(eye.url + path, { waitUntil: "commit" });
      await page.locator('[data-index="0"]').waitFor();
      times.push(Date.now() - began);
    }
    console.log(`${path}: the first row after ${times.join(", ")} ms, with 4 times slower scripts`);
  }
  await session.send("Emulation.setCPUThrottlingRate", { rate: 1 });
}

/** live measures frames and the heap while events arrive. */
async function live(page, key) {
  await page.mouse.move(5, 5);
  await page.goto(`${eye.url}/live`);
  await page.getByText("connected").waitFor();
  const session = await browser.context.newCDPSession(page);
  await session.send("HeapProfiler.enable");
  await page.evaluate(() => {
    globalThis.frames = [];
    let last = performance.now();
    const frame = (now) => {
      globalThis.frames.push(now - last);
      last = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  const heap = async () => {
    await session.send("HeapProfiler.collectGarbage");
    return (await session.send("Runtime.getHeapUsage")).usedSize / 1e6;
  };
  let first;
  const began = Date.now();
  for (let second = 1; second <= minutes * 60; second++) {
    await eye.call("POST", "/v1/events?quiet=1", Array.from({ length: rate }, (_, i) => make(second * rate + i, Date.now())), key);
    if (second === 60) first = await heap();
    await sleep(Math.max(0, began + second * 1000 - Date.now()));
  }
  const last = await heap();
  const frames = await page.evaluate(() => globalThis.frames);
  console.log(`/live at ${rate} events per second: frames of ${p95(frames).toFixed(1)} ms at p95; heap ${first?.toFixed(1)} MB after a minute, ${last.toFixed(1)} MB after ${minutes}`);
}
