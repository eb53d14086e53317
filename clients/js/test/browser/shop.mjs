// A shop of four pages, and a browser with it.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { gather } from "../../scripts/lines.mjs";

const page = (title, body, tag) => `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>${tag}</head><body>
<nav><a id="home" href="/">Home</a> <a id="product" href="/product?color=red&amp;email=ada@example.com">Product</a> <a id="cart" href="/cart">Cart</a></nav>
${body}</body></html>`;

const bodies = {
  "/": ["Shop", "<h1>Shop</h1>"],
  "/product": ["Product", `<h1>Product</h1><button id="add" data-eye-name="add to cart" data-eye-product-number="4711"><b>Add</b></button>
    <button id="next" onclick="history.pushState({}, '', '/product/next?step=2&amp;secret=x#part'); document.title = 'Next product'">Next</button>`],
  "/cart": ["Cart", `<h1>Cart</h1><form id="order" name="order" action="/thanks" method="get">
    <input name="email" value="ada@example.com"><input type="password" name="password" value="hunter2"><textarea name="note">secret note</textarea>
    <select name="country"><option value="secret-country" selected>S</option></select><input type="hidden" name="token" value="secret-token">
    <input type="checkbox" name="terms" value="secret-terms" checked><button name="go" value="secret-go">Order</button></form>`],
  "/thanks": ["Thanks", "<h1>Thanks</h1>"],
};

/**
 * shop serves the pages on all addresses of this machine's loopback. tag is the HTML of the script's
 * tag, and pages has others by their path; both may change between visits.
 */
export async function shop() {
  const script = readFileSync(new URL("../../build/eye.js", import.meta.url));
  const minified = readFileSync(new URL("../../dist/eye.js", import.meta.url));
  const module = readFileSync(new URL("../../build/index.js", import.meta.url));
  const served = { tag: "", pages: {} };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://shop");
    const scripts = { "/eye.js": script, "/eye.min.js": minified, "/index.js": module };
    const [title, body] = bodies[pathname] ?? bodies["/product"];
    response.setHeader("Content-Type", scripts[pathname] ? "text/javascript" : "text/html");
    response.end(scripts[pathname] ?? served.pages[pathname] ?? page(title, body, served.tag));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  served.port = server.address().port;
  served.stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return served;
}

/** launch starts Debian's Chromium with a new profile. *.test is this machine. */
export async function launch(...more) {
  const profile = mkdtempSync(join(tmpdir(), "eye-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    ignoreDefaultArgs: ["--disable-back-forward-cache"],
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP *.test 127.0.0.1", ...more,
    ],
  });
  return {
    context,
    async close() {
      await context.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

const watched = new Set();

/** watch notes what runs in a page until stopWatching, when EYE_COVERAGE names a folder. */
export async function watch(page) {
  if (!process.env.EYE_COVERAGE) return;
  await page.coverage.startJSCoverage({ resetOnNavigation: false });
  watched.add(page);
}

/** stopWatching keeps what has run in a page, before the page is closed. */
export async function stopWatching(page) {
  if (!watched.delete(page)) return;
  const entries = await page.coverage.stopJSCoverage();
  gather(entries.filter(({ url }) => url.endsWith("/eye.js") || url.endsWith("/index.js")));
}
