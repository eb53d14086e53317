/** The entries of the Performance API that TypeScript's library lacks. */
interface LayoutShift extends PerformanceEntry {
  value: number;
  hadRecentInput: boolean;
}
interface Interaction extends PerformanceEntry {
  interactionId: number;
}

/**
 * vitals reports what https://web.dev/articles/vitals defines, once, when the page is first hidden:
 * ttfb, fcp, lcp and inp in milliseconds, and cls, which is 0 for a page that was painted and did not
 * shift. What the browser does not measure is absent.
 */
export function vitals(report: (values: Record<string, number>) => void, signal: AbortSignal): void {
  const values: Record<string, number> = {};
  const observers: PerformanceObserver[] = [];
  const observe = <T extends PerformanceEntry>(type: string, f: (entry: T) => void, more = {}) => {
    try {
      const observer = new PerformanceObserver((list) => (list.getEntries() as T[]).forEach(f));
      observer.observe({ type, buffered: true, ...more });
      observers.push(observer);
    } catch {
      // not measured by this browser
    }
  };

  observe<PerformanceNavigationTiming>("navigation", (entry) => (values.ttfb = entry.responseStart));
  observe("paint", (entry) => {
    if (entry.name !== "first-contentful-paint") return;
    values.fcp = entry.startTime;
    if (PerformanceObserver.supportedEntryTypes.includes("layout-shift")) values.cls ??= 0;
  });
  observe("largest-contentful-paint", (entry) => (values.lcp = entry.startTime));

  // Shifts add up in windows of five seconds at most, which end with a second of rest.
  let [began, latest, sum] = [0, 0, 0];
  observe<LayoutShift>("layout-shift", ({ hadRecentInput, startTime, value }) => {
    if (hadRecentInput) return;
    if (startTime - latest > 1000 || startTime - began > 5000) [began, sum] = [startTime, 0];
    latest = startTime;
    sum += value;
    values.cls = Math.max(values.cls ?? 0, sum);
  });

  // The slowest interaction counts, of many all but the slowest of each fifty.
  const slowest = new Map<number, number>();
  observe<Interaction>("event", ({ interactionId, duration }) => {
    if (!interactionId) return;
    slowest.set(interactionId, Math.max(slowest.get(interactionId) ?? 0, duration));
    const durations = [...slowest.values()].sort((a, b) => b - a);
    values.inp = durations[Math.floor(durations.length / 50)]!;
  }, { durationThreshold: 16 });

  const hidden = () => {
    if (observers.length === 0) return; // reported
    for (const observer of observers.splice(0)) observer.disconnect();
    const rounded = Object.entries(values).map(([name, value]) => [name, Math.round(value * 10_000) / 10_000]);
    if (rounded.length > 0) report(Object.fromEntries(rounded));
  };
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && hidden(), { signal });
  addEventListener("pagehide", hidden, { signal });
}
