// Prints the sizes of the page with gzip, and fails above the bound of the first screen: all that the
// document names, and what its script imports at once.
import { readFileSync, readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";

const dist = "../internal/ui/dist";
const size = (name) => gzipSync(readFileSync(`${dist}/${name}`), { level: 9 }).length;
const first = new Set(["index.html"]);

function follow(text) {
  const named = [...text.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g), ...text.matchAll(/(?:from|import)\s*["'`]\.\/([^"'`]+)["'`]/g)];
  for (const [, name] of named) {
    const path = name.startsWith("assets/") ? name : `assets/${name}`;
    if (first.has(path)) continue;
    first.add(path);
    if (path.endsWith(".js")) follow(readFileSync(`${dist}/${path}`, "utf8"));
  }
}

follow(readFileSync(`${dist}/index.html`, "utf8"));
const bound = 120 * 1024;
const total = [...first].reduce((sum, name) => sum + size(name), 0);
console.log(`first screen: ${total} bytes with gzip, of ${bound}`);
for (const name of readdirSync(`${dist}/assets`)) {
  if (!first.has(`assets/${name}`)) console.log(`on demand: ${name}: ${size(`assets/${name}`)} bytes with gzip`);
}
if (total > bound) process.exitCode = 1;
