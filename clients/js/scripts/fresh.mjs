// Builds, and fails when the script that the server embeds is not the one that is committed.
import { execFileSync } from "node:child_process";
import "./build.mjs";

const embedded = "../../internal/ui/eyejs";
const changed = execFileSync("git", ["status", "--porcelain", "--", embedded], { encoding: "utf8" });
if (changed !== "") {
  console.error(`${embedded}/eye.js is not what the sources make: run npm run build and commit it`);
  process.exitCode = 1;
}
