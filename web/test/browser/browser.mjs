// Debian's Chromium, and a page of it that is watched.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** launch starts a browser with a new profile. */
export async function launch() {
  const profile = mkdtempSync(join(tmpdir(), "eye-chromium-"));
  const context = await chromium.launchPersistentContext(profile, { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: flags, viewport: { width: 1280, height: 800 } });
  return {
    context,
    async close() {
      await context.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/**
 * open returns a page without a login. Whatever must never happen is noted until done is called: a
 * violation of the policy, an error of a script, a request to another host, a dialog.
 */
export async function open(browser, eye, { width = 1280, height = 800, theme = "light" } = {}) {
  await browser.context.clearCookies();
  const page = await browser.context.newPage();
  const wrong = [];
  await page.exposeFunction("noteViolation", (text) => wrong.push(text));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (e) => globalThis.noteViolation(`policy: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
    globalThis.alert = (text) => globalThis.noteViolation(`alert ${text}`);
  });
  page.on("pageerror", (error) => wrong.push(`error: ${error.stack ?? error}`));
  page.on("console", (m) => m.type() === "error" && !/status of 4\d\d|net::ERR/.test(m.text()) && wrong.push(`console: ${m.text()}`));
  page.on("request", (r) => !r.url().startsWith(eye.url) && !/^(data|blob|about):/.test(r.url()) && wrong.push(`request: ${r.url()}`));
  await page.setViewportSize({ width, height });
  await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
  page.setDefaultTimeout(15_000);
  const done = page.close.bind(page);
  page.close = async () => {
    await done();
    assert.deepEqual(wrong, []);
  };
  return page;
}

/** signIn signs in with a key, at an address if one is given. */
export async function signIn(page, eye, key = eye.admin, path = "/signin") {
  await page.goto(eye.url + path);
  await page.getByLabel("Key", { exact: true }).fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator("main#main").waitFor();
}

/** settled waits until nothing is on its way any more. */
export async function settled(page) {
  await page.waitForFunction(() => !document.querySelector(".skeleton, .busy, [aria-busy=true]"));
}
