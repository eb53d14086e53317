// Keeps what ran in browsers for coverage.mjs, in the form and the folder of NODE_V8_COVERAGE.
import { mkdirSync, writeFileSync } from "node:fs";
import { randomUUID } from "node:crypto";

/** gather writes down the coverage of scripts as V8 reports it. */
export function gather(scripts) {
  const folder = process.env.EYE_COVERAGE;
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/page-${randomUUID()}.json`, JSON.stringify({ result: scripts }));
}
