// Tracks events as tests of servers and proxies demand: driver.mjs EVENTS SESSIONS, with EYE_URL and
// EYE_KEY, and perhaps PREFIX of the session ids ("driver-") and EYE_CLOSE_SECONDS (300). It exits
// with 0 when nothing was dropped or left, and prints each error and rejection as a line of JSON.
import { Eye } from "../dist/index.js";
import { setTimeout as sleep } from "node:timers/promises";

const [events, sessions] = process.argv.slice(2).map(Number);
const { EYE_URL: url, EYE_KEY: key, PREFIX: prefix = "driver-", EYE_CLOSE_SECONDS: seconds = "300" } = process.env;
if (!(events >= 0 && sessions > 0 && url && key)) {
  console.error("usage: EYE_URL=… EYE_KEY=… driver.mjs EVENTS SESSIONS");
  process.exit(2);
}

const print = (value) => console.log(JSON.stringify(value));
const queueEvents = 10_000;
const eye = new Eye({ url, key, queueEvents, onError: print, onRejected: print });
for (let n = 0; n < events; n++) {
  while (eye.stats.queued > queueEvents / 2) await sleep(5);
  eye.track("test", "driver", { n }, { sessionId: prefix + (n % sessions) });
}
await eye.close({ timeout: Number(seconds) * 1000 });
process.exitCode = eye.stats.dropped === 0 && eye.stats.queued === 0 ? 0 : 1;
