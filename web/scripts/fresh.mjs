// Builds, and fails when the page that the server embeds is not the one that is committed.
import { execFileSync } from "node:child_process";
import { build } from "vite";

await build({ logLevel: "warn" });
const embedded = "../internal/ui/dist";
const changed = execFileSync("git", ["status", "--porcelain", "--", embedded], { encoding: "utf8" });
if (changed !== "") {
  console.error(`${embedded} is not what the sources make: run npm run build in web and commit it\n${changed}`);
  process.exitCode = 1;
}
