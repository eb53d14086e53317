// Builds dist/ (index.js, the ESM file, and eye.js, the script of a page), the script that the
// server embeds, and build/, the same with source maps for tests. Like all of these scripts it runs
// in the folder of package.json, as npm does it.
import { build } from "esbuild";
import { mkdir, copyFile } from "node:fs/promises";

const shared = { bundle: true, target: "es2022", logLevel: "warning", legalComments: "none" };
// The script leaves out what is for servers.
const inPage = { "globalThis.document": "true" };
const module = { ...shared, entryPoints: ["src/index.ts"], format: "esm", platform: "neutral" };
const script = { ...shared, entryPoints: ["src/script.ts"], format: "iife", platform: "browser", define: inPage };

await Promise.all([
  build({ ...module, outfile: "dist/index.js" }),
  build({ ...script, outfile: "dist/eye.js", minify: true }),
  build({ ...module, outfile: "build/index.js", sourcemap: true }),
  build({ ...script, outfile: "build/eye.js", sourcemap: true }),
]);
await mkdir("../../internal/ui/eyejs", { recursive: true });
await copyFile("dist/eye.js", "../../internal/ui/eyejs/eye.js");
