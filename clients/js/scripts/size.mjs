// Builds, and prints the sizes of the client in a page, minified and compressed. It fails above the
// bounds.
import { build } from "esbuild";
import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import "./build.mjs";

async function core() {
  const { outputFiles } = await build({ entryPoints: ["src/client.ts"], bundle: true, write: false, minify: true, target: "es2022", format: "esm" });
  return outputFiles[0].contents;
}

const measured = [
  // What all platforms share: encoding, queue, clock, batches and retries.
  { name: "core", bound: 3 * 1024, code: await core() },
  // The script of a page, with everything. It leaves room for the server's compressor, which needs a
  // few bytes more.
  { name: "all", bound: 8 * 1024 - 16, code: await readFile("dist/eye.js") },
];
for (const { name, bound, code } of measured) {
  const size = gzipSync(code, { level: 9 }).length;
  console.log(`${name}: ${size} bytes with gzip, of ${bound}; ${code.length} without`);
  if (size > bound) process.exitCode = 1;
}
