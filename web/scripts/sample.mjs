// A week of traffic of a shop, its call center and its blog, for pictures. It is the same each time,
// except that it ends now.

/** sample sends the traffic to a server. */
export async function sample(eye) {
  const random = generator(7);
  const keys = {};
  for (const app of ["shop", "callcenter", "blog"]) keys[app] = await eye.app(app);
  const text = { type: "string" };
  await eye.call("PUT", "/v1/types/form interaction/submit", { type: "object", properties: { path: text, form: { type: "object", properties: { first_name: text, phone: text }, required: ["first_name", "phone"] } }, required: ["path", "form"] });
  await eye.call("PUT", "/v1/types/page interaction/pageview", { type: "object", properties: { path: text, referrer: text }, required: ["path"] });
  const events = { shop: [], callcenter: [], blog: [] };
  const now = Date.now();
  for (let i = 0; i < 2600; i++) {
    const app = random() < 0.7 ? "shop" : "blog";
    visit(events, app, visitor(random, i), started(random, now), random);
  }
  const wrong = [];
  for (let i = 0; i < 42; i++) {
    const at = now - 1500_000 + i * 30_000;
    visit(events, "shop", visitor(random, 9000 + i), at - 60_000, random);
    wrong.push({ session_id: visitor(random, 9000 + i), category: "form interaction", name: "submit", data: { path: "/quote", form: { first_name: "Ada" } }, timestamp: new Date(at).toISOString() });
  }
  wrong.push(...Array.from({ length: 7 }, (_, i) => ({ session_id: `clock-${i}`, category: "page interaction", name: "pageview", data: { path: "/" }, timestamp: new Date(now + 600_000 + i * 1000).toISOString() })));
  for (const [app, list] of Object.entries(events)) for (let i = 0; i < list.length; i += 5000) await eye.call("POST", "/v1/events?quiet=1", list.slice(i, i + 5000), keys[app]);
  await eye.send(keys.shop, wrong);
}

/** started chooses a time of the last week: more in the afternoon, fewer at night. */
function started(random, now) {
  for (;;) {
    const at = now - random() * 7 * 86_400_000;
    const hour = new Date(at).getHours();
    if (random() < 0.15 + 0.85 * Math.max(0, Math.sin(((hour - 6) / 18) * Math.PI)) && at < now - 300_000) return at;
  }
}

const visitor = (random, i) => `${(0x10000000 + ((i * 2654435761) >>> 4)).toString(16)}-5137-4e4e-80b5-${(100000000000 + i * 7919).toString(16).padStart(12, "0")}`;

/** visit adds what one visitor does: pages, clicks, perhaps a form and a call. */
function visit(events, app, session, at, random) {
  const paths = app === "shop" ? ["/", "/solar-energy/", "/movers/", "/hearing-aids/", "/movers/reviews", "/quote"] : ["/blog/", "/blog/how-to-choose", "/blog/ten-questions"];
  const pick = (list) => list[Math.floor(random() * list.length)];
  const sender = `tab-${session.slice(0, 6)}`;
  let time = at;
  let seq = 0;
  const add = (category, name, data, to = app) => events[to].push({ session_id: session, category, name, data, timestamp: new Date(time).toISOString(), ...(to === app ? { sender, seq: seq++ } : {}) });
  for (let n = 1 + Math.floor(random() * 6); n > 0; n--) {
    add("page interaction", "pageview", { path: pick(paths) });
    time += 4000 + random() * 40_000;
    if (random() < 0.45) add("page interaction", "cta click", { path: pick(paths), element: pick(["chat bubble", "get quotes", "newsletter"]) });
    time += 1000 + random() * 20_000;
  }
  if (app === "shop" && random() < 0.3) {
    add("form interaction", "submit", { path: "/quote", form: { first_name: pick(["Ada", "Grace", "Alan"]), phone: "+1 555 0100" } });
    if (random() < 0.6 && time < Date.now() - 1_500_000) {
      time += 420_000 + random() * 900_000;
      add("call", "call started", { agent: pick(["a-11", "a-12", "a-17"]) }, "callcenter");
      time += 30_000 + random() * 400_000;
      add("call", "call ended", { agent: "a-11", outcome: pick(["appointment", "no interest", "call back"]) }, "callcenter");
    }
  }
}

/** generator returns numbers from 0 to 1 that are the same each time (mulberry32). */
function generator(seed) {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
