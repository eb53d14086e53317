import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { categories } from "../lib/colors.ts";
import { clock, day, exact, plural, short } from "../lib/format.ts";
import { stacked, total, type Steps } from "../lib/stack.ts";
import { theme } from "../lib/theme.ts";
import { Text } from "./text.tsx";

export interface Mark { at: number; text: string }

interface Props {
  label: string;
  steps: Steps;
  /** Counts below the axis, for the same steps. */
  below?: number[];
  marks?: Mark[];
  height?: number;
  /** Called with a span that was brushed. */
  brush?: (from: number, to: number) => void;
}

/** color resolves a custom property, for the canvas knows none. */
function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Chart shows bars that stand on each other, over time. */
export function Chart({ label, steps, below, marks = [], height = 190, brush }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [tip, setTip] = useState<{ index: number; left: number } | undefined>();
  const [width, setWidth] = useState(0);
  const look = theme.value;
  const brushed = useRef(brush);
  brushed.current = brush;
  const colors = steps.groups.map((g) => categories.of(g.name));

  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    if (box.current) observer.observe(box.current);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    if (!box.current || width === 0) return;
    const plot = new uPlot(options(), data(steps, below), box.current);
    return () => plot.destroy();

    function options(): uPlot.Options {
      const bars = uPlot.paths.bars!({ size: [0.82, 64], align: 1 });
      const series = [...steps.groups.keys()].reverse().map((i) => ({ fill: color(`--c${colors[i]}`), width: 0, paths: bars, points: { show: false } }));
      if (below) series.push({ fill: color("--bad"), width: 0, paths: bars, points: { show: false } });
      const axis = { stroke: color("--soft"), font: `11px ${getComputedStyle(document.body).fontFamily}`, ticks: { show: false } };
      const end = (steps.at.at(-1) ?? 0) / 1000 + steps.step / 1000;
      return {
        width, height, padding: [8, 8, 0, 0], legend: { show: false },
        scales: { x: { time: true, range: () => [(steps.at[0] ?? 0) / 1000, end] }, y: { range: (_, min, max) => [Math.min(0, min * 1.1), Math.max(1, max * 1.08)] } },
        series: [{}, ...series],
        axes: [
          { ...axis, grid: { show: false }, space: 80, size: 28, values: (_, ticks) => ticks.map((t) => tickText(t * 1000, steps.step)) },
          { ...axis, grid: { stroke: color("--line"), width: 1 }, size: 52, space: 36, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 1e8, 1e9], values: (_, ticks) => ticks.map((t) => short(Math.abs(t))) },
        ],
        cursor: { y: false, points: { show: false }, drag: { x: brushed.current !== undefined, y: false, setScale: false } },
        hooks: {
          setCursor: [(u) => {
            const left = u.cursor.left ?? -1;
            const at = left < 0 ? -1 : u.posToVal(left, "x") * 1000;
            const index = at < 0 ? -1 : Math.min(steps.at.length - 1, Math.floor((at - (steps.at[0] ?? 0)) / steps.step));
            setTip(index < 0 ? undefined : { index, left: left + 52 });
          }],
          setSelect: [(u) => {
            if (u.select.width < 4) return;
            brushed.current?.(u.posToVal(u.select.left, "x") * 1000, u.posToVal(u.select.left + u.select.width, "x") * 1000);
          }],
          draw: [(u) => drawMarks(u, marks)],
        },
      };
    }
  }, [steps, below, width, height, look, colors.join(), marks.map((m) => m.at).join()]);

  const sum = steps.groups.reduce((n, g) => n + total(g), 0);
  return (
    <figure class="chart" aria-label={`${label}: ${plural(sum, "event")} in ${plural(steps.at.length, "step")}`} role="img">
      <div ref={box} class="plot" style={{ height: `${height}px` }} />
      {tip && <Tip steps={steps} below={below} index={tip.index} left={tip.left} width={width} marks={marks} colors={colors} />}
    </figure>
  );
}

function data(steps: Steps, below: number[] | undefined): uPlot.AlignedData {
  const rows = stacked(steps.groups, steps.at.length);
  const times = steps.at.map((t) => t / 1000);
  return below ? [times, ...rows, below.map((n) => (n === 0 ? null : -n))] : [times, ...rows];
}

function tickText(at: number, step: number): string {
  const d = new Date(at);
  const midnight = d.getHours() === 0 && d.getMinutes() === 0;
  return midnight || step >= 86_400_000 ? day(d) : clock(d).slice(0, 5);
}

function drawMarks(u: uPlot, marks: Mark[]): void {
  u.ctx.save();
  u.ctx.strokeStyle = color("--soft");
  u.ctx.setLineDash([3, 3]);
  for (const m of marks) {
    const x = Math.round(u.valToPos(m.at / 1000, "x", true)) + 0.5;
    if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
    u.ctx.beginPath();
    u.ctx.moveTo(x, u.bbox.top);
    u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
    u.ctx.stroke();
  }
  u.ctx.restore();
}

interface TipProps { steps: Steps; below: number[] | undefined; index: number; left: number; width: number; marks: Mark[]; colors: number[] }

function Tip({ steps, below, index, left, width, marks, colors }: TipProps) {
  const at = steps.at[index];
  if (at === undefined) return null;
  const d = new Date(at);
  const right = left > width - 260;
  const near = marks.filter((m) => m.at >= at && m.at < at + steps.step);
  return (
    <div class="chart-tip" style={right ? { right: `${width - left + 12}px`, left: "auto" } : { left: `${left + 12}px`, right: "auto" }}>
      <div class="strong">{day(d)}{steps.step < 86_400_000 && `, ${clock(d).slice(0, 5)}`}</div>
      <table role="presentation">
        <tbody>
          {steps.groups.map((g, i) => g.counts[index]! > 0 && (
            <tr key={g.name}><td><span class="named"><i class={`dot square c${colors[i]}`} /><span><Text text={g.name || "events"} most={40} /></span></span></td><td class="num">{exact(g.counts[index]!)}</td></tr>
          ))}
          {below && below[index]! > 0 && <tr><td><span class="named"><i class="dot square red" /><span>rejected</span></span></td><td class="num">{exact(below[index]!)}</td></tr>}
        </tbody>
      </table>
      {near.map((m) => <div key={m.text} class="soft">{m.text}</div>)}
    </div>
  );
}

/** Legend names the colours of a chart. */
export function Legend({ steps, rejected }: { steps: Steps; rejected?: boolean }) {
  return (
    <div class="legend">
      {steps.groups.map((g) => <span key={g.name} class="named"><i class={`dot square c${categories.of(g.name)}`} /><span><Text text={g.name} most={60} /></span></span>)}
      {rejected && <span class="named"><i class="dot square red" /><span>rejected</span></span>}
    </div>
  );
}

/** Spark is a chart the size of a word. */
export function Spark({ counts, label, red = false }: { counts: number[]; label: string; red?: boolean }) {
  const top = Math.max(1, ...counts);
  const step = 96 / Math.max(1, counts.length);
  return (
    <svg class={`spark ${red ? "red" : ""}`} viewBox="0 0 96 24" role="img" aria-label={label} preserveAspectRatio="none">
      {counts.map((n, i) => n > 0 && <rect key={i} x={i * step} width={Math.max(0.5, step - (step > 2 ? 0.6 : 0))} y={24 - Math.max(1.5, (22 * n) / top)} height={Math.max(1.5, (22 * n) / top)} />)}
    </svg>
  );
}
