// Writes the licenses of the libraries that are built into the page to ../tools/notices/page.txt,
// which script/notices adds to those of the server.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

const lock = JSON.parse(readFileSync("package-lock.json", "utf8"));
const allowed = ["MIT", "Apache-2.0", "BSD-3-Clause", "ISC"];
const line = "-".repeat(80);
const parts = ["What the web page and the page of the API contain, in the files of internal/ui/dist. Written by\nnpm run notices in web.\n"];
for (const [folder, p] of Object.entries(lock.packages)) {
  if (folder === "" || p.dev || p.optional) continue;
  const name = folder.replace(/^.*node_modules\//, "");
  if (name === "@scarf/scarf") continue; // it only counts installations, and is not run or built in
  if (!allowed.includes(p.license)) throw new Error(`${name} has the license ${p.license}`);
  const texts = readdirSync(folder).filter((f) => /^(licen[cs]e|notice)/i.test(f) || /LICENSE\.txt$/.test(f) && f.includes("es-bundle.js")).sort();
  if (texts.length === 0) throw new Error(`${name} has no license file`);
  parts.push(`${line}\n${name} ${p.version}\nLicense: ${p.license}\n`);
  for (const f of texts) parts.push(`${f}:\n\n${readFileSync(`${folder}/${f}`, "utf8").replaceAll("\r", "").replace(/[ \t]+$/gm, "").trim()}\n`);
}
writeFileSync("../tools/notices/page.txt", parts.join("\n"));
