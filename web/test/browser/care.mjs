import assert from "node:assert/strict";
import { test } from "node:test";
import { event } from "./eye.mjs";
import { open, signIn } from "./browser.mjs";

export function careTests(world) {
  test("what the page asks by itself does not keep a login, and work does", async () => {
    const { eye, browser } = world;
    const page = await open(browser, eye);
    const asked = [];
    page.on("request", (r) => /\/v1\/(events|sessions|rejections)\?/.test(r.url()) && asked.push(`${new URL(r.url()).pathname} ${r.headers()["eye-polling"] ?? "work"}`));
    await signIn(page, eye, eye.admin, "/events?live=1");
    await page.waitForRequest((r) => r.url().includes("/v1/events?") && r.headers()["eye-polling"] === "1");
    asked.length = 0;
    await page.getByRole("navigation", { name: "Screens" }).first().getByRole("link", { name: "Sessions" }).click();
    await page.getByRole("heading", { name: "Sessions", exact: true }).waitFor();
    await page.waitForTimeout(300);
    assert.deepEqual(asked, ["/v1/sessions work"]);
    await eye.send(await eye.app("care-live"), [event("care-live", "view")]);
    await page.goto(`${eye.url}/sessions/care-live?live=1`);
    await page.getByText("1 event", { exact: true }).waitFor();
    asked.length = 0;
    await page.waitForTimeout(10_500);
    assert.deepEqual([...new Set(asked)].sort(), ["/v1/rejections 1", "/v1/sessions 1"]);
    await page.close();
  });

  test("signing out without a network fails, and leaves nothing when it succeeds", async () => {
    const { eye, browser } = world;
    const page = await open(browser, eye);
    await signIn(page, eye, eye.admin, "/find");
    await page.getByLabel("An event id").fill("a-secret-text");
    await page.getByRole("button", { name: "Find", exact: true }).click();
    await page.getByText("Nothing is known of this").waitFor();
    await page.route("**/v1/find", (route) => route.abort());
    await page.getByLabel("An event id").fill("another text");
    await page.getByRole("button", { name: "Find", exact: true }).click();
    await page.getByRole("alert").filter({ hasText: "does not answer" }).waitFor();
    assert.equal(await page.getByText("Nothing is known of this").count(), 0);
    await page.route("**/v1/logins/current", (route) => route.abort());
    await page.getByRole("button", { name: "sign out" }).click();
    await page.getByRole("alert").filter({ hasText: "You are still signed in" }).waitFor();
    assert.equal(new URL(page.url()).pathname, "/find");
    await page.unroute("**/v1/logins/current");
    await page.getByRole("button", { name: "sign out" }).click();
    await page.waitForURL("**/signin");
    await page.getByLabel("Key", { exact: true }).fill(eye.admin);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("link", { name: "Find" }).first().click();
    await page.getByText("Did it arrive?").waitFor();
    assert.equal(await page.getByLabel("An event id").inputValue(), "");
    await page.close();
  });

  test("a link that did not get through is tried again", async () => {
    const { eye, browser } = world;
    const page = await open(browser, eye);
    await page.route("**/v1/logins", (route) => route.abort());
    await page.goto(await eye.link());
    await page.getByRole("alert").filter({ hasText: "does not answer" }).waitFor();
    await page.unroute("**/v1/logins");
    await page.getByRole("button", { name: "try again" }).click();
    await page.waitForURL("**/overview");
    await page.close();
  });

  test("a key of one application ignores the application of an address", async () => {
    const { eye, browser } = world;
    await eye.send(await eye.app("care-one"), [event("care-one", "mine")]);
    const page = await open(browser, eye);
    await signIn(page, eye, await eye.key("care-one", "read"), "/events?app=default");
    await page.getByText("care-one").first().waitFor();
    await page.getByRole("row").filter({ hasText: "mine" }).first().waitFor();
    assert.equal(await page.getByRole("alert").count(), 0);
    await page.close();
  });

  test("a draft is not published before it was compared", async () => {
    const { eye, browser } = world;
    await eye.call("PUT", "/v1/types/page interaction/care", { type: "object", properties: { a: { type: "string" } } });
    const page = await open(browser, eye);
    await page.route("**/try?*", (route) => route.abort());
    await signIn(page, eye, eye.admin, "/types/page%20interaction/care?draft=a%2Fb%3F");
    const editor = page.locator(".cm-content");
    await editor.click();
    await page.keyboard.press("Control+a");
    await page.keyboard.insertText('{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}');
    await page.getByRole("alert").filter({ hasText: "does not answer" }).waitFor();
    await page.getByRole("button", { name: "publish…" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Whether the draft is compatible is not known").waitFor();
    assert.equal(await dialog.getByText("Compatible:").count(), 0);
    assert.ok(await dialog.getByRole("button", { name: "publish" }).isDisabled());
    await page.unroute("**/try?*");
    await dialog.getByRole("button", { name: "try again" }).click();
    await dialog.getByText(/ompatible/).and(dialog.locator("p")).first().waitFor();
    await dialog.getByRole("button", { name: /^publish/ }).and(dialog.locator(":enabled")).waitFor();
    await page.close();
  });

  test("an own time is read in the zone of the browser", async () => {
    const { eye, browser } = world;
    const page = await open(browser, eye);
    await signIn(page, eye, eye.admin, "/events");
    await page.getByLabel("Time range").selectOption("own");
    await page.getByLabel("From", { exact: true }).fill("31 January");
    await page.getByRole("button", { name: "show", exact: true }).click();
    assert.match(await page.getByLabel("From", { exact: true }).evaluate((f) => f.validationMessage), /not a time/);
    await page.getByLabel("From", { exact: true }).fill("2026-01-31 10:00");
    await page.getByRole("button", { name: "show", exact: true }).click();
    const want = await page.evaluate(() => new Date(2026, 0, 31, 10).toISOString());
    await page.waitForURL((url) => url.searchParams.get("from") === want);
    assert.equal(await page.getByLabel("From", { exact: true }).inputValue(), "2026-01-31 10:00");
    assert.equal(await page.getByRole("alert").count(), 0);
    await page.goto(`${eye.url}/overview?range=all`);
    await page.getByRole("heading", { name: "Busiest types, the last 30 days" }).waitFor();
    await page.close();
  });

  test("a session of rejections alone shows them, and keys that are numbers are fields", async () => {
    const { eye, browser } = world;
    const key = await eye.app("care-refused");
    await eye.send(key, [{ ...event("care-refused", "bad"), data: 1 }]);
    const page = await open(browser, eye);
    await signIn(page, eye, eye.admin, "/sessions/care-refused");
    await page.getByRole("link", { name: "1 rejected" }).waitFor();
    await page.getByRole("listitem").filter({ hasText: "bad" }).waitFor();
    const { events } = (await eye.send(key, [event("care-years", "years", { by_year: { 2024: " x" } })])) && (await eye.call("GET", "/v1/events?app=care-refused"));
    await page.goto(`${eye.url}/events?show=${events[0].id}`);
    const line = page.getByRole("group", { name: "data" }).locator(".line").filter({ hasText: "2024" }).last();
    await line.hover();
    await line.getByRole("button", { name: "filter" }).click();
    await page.waitForURL((url) => url.searchParams.get("where") === 'data.by_year."2024"=" x"');
    await page.getByRole("row").filter({ hasText: "years" }).first().waitFor();
    assert.equal(await page.getByRole("alert").count(), 0);
    await page.close();
  });
}
