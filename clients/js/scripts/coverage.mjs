// Runs all tests, those in Chromium too, and prints which lines of src they run. It fails below 90 %.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { SourceMap } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import "./build.mjs";

const least = 90;
const folder = mkdtempSync(join(tmpdir(), "eye-coverage-"));
const tests = ["contract", "test", "test/browser"].flatMap((name) => readdirSync(name).filter((f) => f.endsWith(".test.mjs")).map((f) => join(name, f)));
const run = spawnSync(process.execPath, ["--test", ...tests], { stdio: "inherit", env: { ...process.env, NODE_V8_COVERAGE: folder, EYE_COVERAGE: folder } });

const lines = new Map(); // file → line → whether it ran
for (const name of readdirSync(folder)) {
  for (const script of JSON.parse(readFileSync(join(folder, name), "utf8")).result) {
    const bundle = /\/(eye|index)\.js$/.exec(script.url)?.[1];
    if (bundle && (script.url.startsWith("http") || script.url.includes("/clients/js/build/"))) add(`build/${bundle}.js`, script.functions);
  }
}
rmSync(folder, { recursive: true });

let [ran, all] = [0, 0];
for (const [file, found] of [...lines].sort()) {
  const missed = [...found].filter(([, hit]) => !hit).map(([line]) => line).sort((a, b) => a - b);
  ran += found.size - missed.length;
  all += found.size;
  console.log(`${file.padEnd(16)} ${percent(found.size - missed.length, found.size)} ${missed.length ? `not ${missed.join(", ")}` : ""}`);
}
console.log(`lines            ${percent(ran, all)}`);
process.exitCode = run.status || ((100 * ran) / all < least ? 1 : 0);

function percent(some, whole) {
  return `${((100 * some) / whole).toFixed(1)} %`.padStart(8);
}

/** add notes which lines of the sources ran in one run of a bundle, by the ranges of V8. */
function add(path, functions) {
  const code = readFileSync(path, "utf8");
  const map = new SourceMap(JSON.parse(readFileSync(`${path}.map`, "utf8")));
  const counts = new Int32Array(code.length).fill(-1);
  // A range inside another comes later and counts for its own text.
  for (const { ranges } of functions) for (const { startOffset, endOffset, count } of ranges) counts.fill(count, startOffset, endOffset);
  let offset = 0;
  code.split("\n").forEach((text, line) => {
    const start = offset;
    offset += text.length + 1;
    const column = text.search(/\S/);
    // Braces and ends of statements are no lines of their own.
    if (column < 0 || /^[\s{}()[\];,]*$/.test(text)) return;
    const entry = map.findEntry(line, column);
    if (entry.originalLine === undefined || entry.generatedLine !== line) return;
    const file = basename(fileURLToPath(new URL(entry.originalSource, "file:///")));
    if (!lines.has(file)) lines.set(file, new Map());
    const found = lines.get(file);
    const hit = counts[start + column] > 0;
    found.set(entry.originalLine + 1, hit || (found.get(entry.originalLine + 1) ?? false));
  });
}
