import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { event } from "./eye.mjs";
import { open, settled, signIn } from "./browser.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export function accessTests(world) {
  for (const theme of ["light", "dark"]) {
    for (const width of [1280, 390]) {
      test(`every screen is accessible, ${theme}, ${width} px`, async () => {
        const { eye, browser } = world;
        const app = `axe-${theme}-${width}`;
        const key = await eye.app(app);
        await eye.send(key, [event(`${app}-s`, "view", { path: "/", price: 1.5 }, { ago: 900 }), event(`${app}-s`, "buy", { path: "/cart" }, { sender: "t", seq: 4 }), { ...event(`${app}-s`, "bad"), data: 1 }]);
        const found = await eye.call("GET", `/v1/rejections?app=${app}`);
        const events = await eye.call("GET", `/v1/events?app=${app}`);
        await eye.call("PUT", `/v1/types/page interaction/${app}`, { type: "object", properties: { a: { type: "string" } } });
        const page = await open(browser, eye, { width, theme });
        await page.goto(`${eye.url}/signin`);
        const problems = [];
        const check = async (name, rules = {}) => {
          await settled(page).catch(() => {});
          const result = await page.evaluate(`${axe}; axe.run({ resultTypes: ["violations"], rules: ${JSON.stringify(rules)} })`);
          for (const v of result.violations) problems.push(`${name}: ${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.failureSummary?.split("\n")[1]}`).join(" | ")}`);
        };
        await page.getByLabel("Key", { exact: true }).waitFor();
        await check("/signin");
        await signIn(page, eye);
        for (const path of [
          "/overview", `/overview?app=${app}&show=books`, `/live?app=${app}`, `/sessions?app=${app}`, `/sessions/${app}-s`, `/events?app=${app}`, `/events?app=${app}&show=${events.events[0].id}`, `/rejections?app=${app}`,
          `/rejections/${found.rejections[0].id}`, "/types", `/types/page%20interaction/${app}`, `/types/page%20interaction/view`, "/find", "/apps", `/apps?show=${app}`, "/audit", "/unreadable", "/nothing-here".replace("nothing-here", "types/x/y"),
        ]) {
          await page.goto(eye.url + path);
          await page.locator("h1, h2").first().waitFor();
          await page.waitForTimeout(250);
          await check(path);
        }
        await page.goto(`${eye.url}/rejections/${found.rejections[0].id}`);
        await page.getByRole("button", { name: "replay…" }).click();
        await page.getByRole("dialog").getByText("would still be rejected").waitFor();
        await check("replay");
        await page.goto(`${eye.url}/docs`);
        await page.locator(".opblock").first().waitFor();
        // The library nests the link of an operation in the button that opens it, and its filter is
        // outside of its main element.
        await check("/docs", { "nested-interactive": { enabled: false }, region: { enabled: false } });
        assert.deepEqual(problems, []);
        await page.close();
      });
    }
  }

  test("everything can be done by keyboard alone", async () => {
    const { eye, browser } = world;
    const key = await eye.app("keyboard");
    await eye.send(key, [event("k-1", "open", { path: "/" }, { ago: 20 }), event("k-1", "close", { path: "/" }, { ago: 10 }), { ...event("k-2", "bad"), data: 1 }]);
    const page = await open(browser, eye);
    const press = async (...keys) => {
      for (const k of keys) await page.keyboard.press(k);
    };
    await page.goto(`${eye.url}/signin`);
    await page.getByLabel("Key", { exact: true }).waitFor();
    await press("Tab");
    await page.keyboard.insertText(eye.admin);
    await press("Enter");
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await press("?");
    await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
    await press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });

    // The first stop of the page leads past the rail; the application is chosen with the arrows.
    await press("Tab");
    await page.waitForFunction(() => document.activeElement.textContent === "Skip to the content");
    for (let i = 0; i < 40 && !(await page.evaluate(() => document.activeElement.getAttribute("aria-label") === "Application")); i++) await press("Tab");
    await page.keyboard.type("keyboard");
    await page.waitForURL("**app=keyboard");

    await press("Escape", "g", "s");
    await page.getByRole("heading", { name: "Sessions" }).waitFor();
    await page.getByRole("row").nth(1).waitFor();
    await press("Tab", "j");
    await page.waitForFunction(() => document.activeElement.getAttribute("role") === "row");
    await press("Enter");
    await page.waitForURL("**/sessions/k-1*");
    await page.getByRole("listitem").filter({ hasText: "close" }).waitFor();
    await press("j", "j");
    await page.getByRole("complementary").getByRole("heading", { name: "close" }).waitFor();

    await press("g", "e");
    await page.getByRole("row").nth(2).waitFor();
    await press("j", "j", "Enter");
    await page.getByRole("complementary").getByRole("heading", { name: "open" }).waitFor();
    await press("Escape");
    await page.getByRole("complementary").waitFor({ state: "detached" });

    await press("g", "r");
    await page.getByRole("row").nth(1).waitFor();
    await press("j", "Enter");
    await page.getByRole("complementary").getByRole("button", { name: "replay…" }).waitFor();
    for (let i = 0; i < 30 && !(await page.evaluate(() => document.activeElement.textContent === "replay…")); i++) await press("Tab");
    await press("Enter");
    await page.getByRole("dialog", { name: "Replay" }).waitFor();
    await press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.waitForFunction(() => document.activeElement.textContent === "replay…");

    await press("/");
    await page.keyboard.type("k-1");
    await press("Enter");
    await page.getByRole("heading", { name: "A session" }).waitFor();
    await page.close();
  });
}
