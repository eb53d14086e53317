import assert from "node:assert/strict";
import { test } from "node:test";
import { event } from "./eye.mjs";
import { open, signIn } from "./browser.mjs";

export function signInTests(world) {
  const at = (page) => new URL(page.url()).pathname + new URL(page.url()).search;

  test("/ leads through sign-in to the overview", async () => {
    const { eye, browser } = world;
    const page = await open(browser, eye);
    await page.goto(eye.url + "/");
    await page.waitForURL("**/signin");
    await page.waitForFunction(() => document.title === "Sign in · The Eye");
    await page.getByLabel("Key", { exact: true }).fill(eye.admin);
    await page.keyboard.press("Enter");
    await page.waitForURL("**/overview");
    await page.waitForFunction(() => document.title === "Overview · The Eye");
    await page.goto(eye.url + "/");
    await page.waitForURL("**/overview");
    await page.getByRole("button", { name: "sign out" }).click();
    await page.waitForURL("**/signin");
    await page.goto(eye.url + "/events");
    await page.waitForURL("**/signin?to=*");
    await page.close();
  });

  test("an address is kept through sign-in", async () => {
    const { eye, browser } = world;
    const page = await open(browser, eye);
    await signIn(page, eye, eye.admin, "/events?app=default&range=7d&where=data.path%3D%2F");
    assert.equal(at(page), "/events?app=default&range=7d&where=data.path%3D%2F");
    await page.getByText("data.path").first().waitFor();
    await page.close();
  });

  test("an address of another host is not followed", async () => {
    const { eye, browser } = world;
    const page = await open(browser, eye);
    await signIn(page, eye, eye.admin, "/signin?to=//evil.example/");
    assert.equal(at(page), "/overview");
    await page.close();
  });

  test("a wrong key and a write key are refused with a sentence", async () => {
    const { eye, browser } = world;
    const page = await open(browser, eye);
    await page.goto(eye.url + "/signin");
    for (const [key, text] of [["eye_r_wrong", /key is not valid/], [await eye.key("default", "write"), /cannot sign in/]]) {
      await page.getByLabel("Key", { exact: true }).fill(key);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("alert").filter({ hasText: text }).waitFor();
    }
    await page.close();
  });

  test("a link signs in once, and leaves the address", async () => {
    const { eye, browser } = world;
    const page = await open(browser, eye);
    const link = await eye.link();
    await page.goto(link);
    await page.waitForURL("**/overview");
    assert.ok(!(await page.evaluate(() => location.href + JSON.stringify(history.state))).includes("link"));
    // Somebody who is signed in already is asked.
    const other = await eye.link();
    await page.goto("about:blank");
    await page.goto(other);
    await page.getByText("You are signed in with an admin key already").waitFor();
    assert.equal(await page.evaluate(() => location.hash), "");
    await page.getByRole("button", { name: "Stay signed in" }).click();
    await page.waitForURL("**/overview");
    await browser.context.clearCookies();
    await page.goto("about:blank");
    await page.goto(link);
    await page.getByRole("alert").filter({ hasText: /link is not valid/ }).waitFor();
    await page.close();
  });

  test("a key that is revoked ends what is shown, and leads back after sign-in", async () => {
    const { eye, browser } = world;
    const made = await eye.call("POST", "/v1/keys", { kind: "read" });
    const page = await open(browser, eye);
    await signIn(page, eye, made.key, "/sessions?range=7d");
    await page.getByRole("heading", { name: "Sessions" }).waitFor();
    await eye.call("DELETE", `/v1/keys/${made.key_id}`);
    // What the page asks for by itself may have found out already.
    await page.getByRole("button", { name: "refresh" }).click({ timeout: 2000 }).catch(() => {});
    await page.getByLabel("Key", { exact: true }).fill(eye.admin);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Sessions" }).waitFor();
    assert.equal(at(page), "/sessions?range=7d");
    await page.close();
  });

  test("a key that expires ends what is shown", async () => {
    const { eye, browser } = world;
    const made = await eye.call("POST", "/v1/keys", { kind: "read", expires_at: new Date(Date.now() + 4000).toISOString() });
    const page = await open(browser, eye);
    await signIn(page, eye, made.key);
    await page.waitForTimeout(4500);
    await page.getByRole("button", { name: "refresh" }).click({ timeout: 2000 }).catch(() => {});
    await page.waitForURL("**/signin?to=*");
    await page.close();
  });

  test("a read key of one application sees nothing of others, and no administration", async () => {
    const { eye, browser } = world;
    const one = await eye.app("one");
    const other = await eye.app("other");
    await eye.send(one, [event("shared", "mine")]);
    await eye.send(other, [event("shared", "theirs")]);
    const page = await open(browser, eye);
    await signIn(page, eye, await eye.key("one", "read"));
    assert.deepEqual(await page.getByRole("navigation", { name: "Screens" }).first().getByRole("link").allTextContents(), ["Overview", "Live", "Sessions", "Events", "Rejections", "Types", "Find"]);
    assert.equal(await page.getByLabel("Application").count(), 0);
    await page.goto(eye.url + "/sessions/shared");
    await page.getByRole("listitem").filter({ hasText: "mine" }).waitFor();
    assert.equal(await page.getByText("theirs").count(), 0);
    assert.equal(await page.getByText("erase…").count(), 0);
    await page.goto(eye.url + "/apps");
    await page.getByText("This needs an admin key").waitFor();
    await page.close();
  });
}
