// Measures track(), encoding included: how long a call takes on average, in the best of rounds of as
// many events as the queue holds. CPU time is less disturbed by other programs; it includes the
// threads of the garbage collector.
import { Eye } from "../build/index.js";

const calls = 10_000;
let best = Infinity;
let leastCPU = Infinity;
for (let round = 0; round < 50; round++) {
  // Nothing is sent: no batch is full.
  const eye = new Eye({ url: "http://127.0.0.1:9", key: "k", batchEvents: calls + 1, batchBytes: 2 ** 30, batchDelay: 600_000 });
  const used = process.cpuUsage();
  const start = performance.now();
  for (let n = 0; n < calls; n++) {
    eye.track("page interaction", "pageview", { path: "/products/4711", title: "A product", n }, { sessionId: "e2085be5-9137-4e4e-80b5-f1ffddc25423" });
  }
  best = Math.min(best, ((performance.now() - start) * 1000) / calls);
  const { user, system } = process.cpuUsage(used);
  leastCPU = Math.min(leastCPU, (user + system) / calls);
  if (eye.stats.queued !== calls) throw new Error(`${eye.stats.queued} events were queued`);
  eye.optOut(); // empties the queue
  await eye.close();
}
console.log(`track: ${best.toFixed(2)} µs; CPU time ${leastCPU.toFixed(2)} µs`);
