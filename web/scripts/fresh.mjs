// Builds, and fails when the page that the server embeds, or the licenses of what is in it, are not
// those that are committed.
import { execFileSync } from "node:child_process";
import { build } from "vite";

await build({ logLevel: "warn" });
await import("./notices.mjs");
const made = ["../internal/ui/dist", "../tools/notices/page.txt"];
const changed = execFileSync("git", ["status", "--porcelain", "--", ...made], { encoding: "utf8" });
if (changed !== "") {
  console.error(`these are not what the sources make: run npm run build and npm run notices in web, and commit them\n${changed}`);
  process.exitCode = 1;
}
