import assert from "node:assert/strict";
import { test } from "node:test";
import { event } from "./eye.mjs";
import { open, signIn } from "./browser.mjs";

export function docsTests(world) {
  test("/docs describes every operation, and tries one with the login", async () => {
    const { eye, browser } = world;
    const key = await eye.app("docs");
    await eye.send(key, [event("d", "one"), event("d", "two")]);
    const page = await open(browser, eye);
    await signIn(page, eye);
    await page.goto(`${eye.url}/docs?url=https://evil.example/openapi.json`).catch(() => {});
    await page.goto(`${eye.url}/docs#/reading/countEvents`);
    const document = await eye.call("GET", "/openapi.json");
    const operations = Object.values(document.paths).flatMap((p) => Object.keys(p).filter((m) => ["get", "post", "put", "patch", "delete"].includes(m)));
    await page.waitForFunction((n) => globalThis.document.querySelectorAll(".opblock").length === n, operations.length);
    const count = page.locator(".opblock").filter({ has: page.locator("[data-path='/v1/count']") });
    if (!(await count.getByRole("button", { name: "Try it out" }).count())) await count.locator(".opblock-summary-control").click();
    await count.getByRole("button", { name: "Try it out" }).click();
    await count.getByRole("button", { name: "Execute" }).click();
    const answer = count.locator(".live-responses-table");
    await answer.getByText('"count"').waitFor();
    assert.ok(Number(/"count": (\d+)/.exec(await answer.textContent())[1]) >= 2);
    assert.deepEqual(await page.evaluate(() => Object.keys(localStorage).filter((k) => /auth|key/i.test(k))), []);
    await page.close();
  });
}
