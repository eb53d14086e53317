import assert from "node:assert/strict";
import { test } from "node:test";
import { event } from "./eye.mjs";
import { open, settled, signIn } from "./browser.mjs";

export function screenTests(world) {
  test("the first event appears in the first steps", async () => {
    const { eye, browser } = world;
    assert.equal((await eye.call("GET", "/v1/events?limit=1")).events.length, 0, "this test comes first");
    const page = await open(browser, eye);
    await signIn(page, eye);
    await page.getByText("Waiting for the first event…").waitFor();
    await page.getByRole("button", { name: "make a write key for this" }).click();
    const snippet = page.getByRole("tabpanel");
    await snippet.filter({ hasText: /eye_w_/ }).waitFor();
    const key = /eye_w_\w+/.exec(await snippet.textContent())[0];
    await page.getByRole("tab", { name: "Python" }).click();
    assert.match(await page.getByRole("tabpanel").textContent(), /theeye\.Eye\(/);
    await eye.send(key, event("first", "hello", { path: "/" }));
    await page.getByText("Your first event is here").waitFor();
    await page.getByRole("link", { name: "Look at its session" }).click();
    await page.getByRole("listitem").filter({ hasText: "hello" }).waitFor();
    await page.close();
  });

  test("events are filtered by facets, chips and columns, and the address says so", async () => {
    const { eye, browser } = world;
    const key = await eye.app("facets");
    await eye.send(key, Array.from({ length: 30 }, (_, i) => event(`f${i}`, i % 3 ? "view" : "buy", { path: `/p${i % 2}`, price: i })));
    const page = await open(browser, eye);
    await signIn(page, eye, eye.admin, "/events?app=facets");
    await page.getByText("30 events").waitFor();
    await page.getByRole("button", { name: /^buy 10/ }).click();
    await page.getByText("10 events").first().waitFor();
    assert.equal(new URL(page.url()).searchParams.get("name"), "buy");
    await page.getByRole("button", { name: "Remove name = buy" }).click();
    await page.getByText("30 events").waitFor();
    await page.getByRole("button", { name: /^buy 10/ }).click({ modifiers: ["Alt"] });
    await page.getByText("20 events").first().waitFor();
    assert.deepEqual(new URL(page.url()).searchParams.getAll("where"), ["name!=buy"]);
    await page.getByRole("button", { name: "+ filter" }).click();
    await page.getByLabel("Field", { exact: true }).fill("data.price");
    await page.getByLabel("Operator").selectOption(">=");
    await page.getByLabel("Value", { exact: true }).fill("25");
    await page.getByRole("button", { name: "add", exact: true }).click();
    await page.getByText("4 events").first().waitFor();
    await page.getByRole("row").nth(1).click();
    const details = page.getByRole("complementary", { name: "Details" });
    await details.locator(".line").filter({ hasText: "price" }).hover();
    await details.locator(".line").filter({ hasText: "price" }).getByRole("button", { name: "column" }).click();
    await page.getByRole("columnheader", { name: "price" }).waitFor();
    const shared = page.url();
    await page.goto("about:blank");
    await page.goto(shared);
    await page.getByRole("columnheader", { name: "price" }).waitFor();
    await page.getByText("4 events").first().waitFor();
    await page.getByRole("button", { name: "Share and export" }).click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "export as NDJSON" }).click()]);
    assert.equal((await (await download.createReadStream()).toArray()).join("").trim().split("\n").length, 4);
    await page.close();
  });

  test("a session shows its events in order, its pauses, what is missing and what was rejected", async () => {
    const { eye, browser } = world;
    const shop = await eye.app("sessions-shop");
    const crm = await eye.app("sessions-crm");
    const at = new Date(Date.now() - 3600_000).toISOString();
    await eye.send(shop, [
      event("s-1", "one", { path: "/" }, { timestamp: at, sender: "tab", seq: 1 }),
      event("s-1", "two", { path: "/" }, { timestamp: at, sender: "tab", seq: 2 }),
      event("s-1", "five", { path: "/x" }, { ago: 1800, sender: "tab", seq: 5 }),
    ]);
    await eye.send(crm, [event("s-1", "call", {}, { ago: 1700 }), { ...event("s-1", "broken", {}, { ago: 1600 }), data: 7 }]);
    const page = await open(browser, eye);
    await signIn(page, eye, eye.admin, "/sessions/s-1");
    const rows = page.getByRole("region", { name: "Events of the session" }).getByRole("listitem");
    await rows.filter({ hasText: "broken" }).waitFor();
    const texts = await rows.allTextContents();
    assert.deepEqual(texts.map((t) => /one|two|without events|missing|five|call|broken/.exec(t)?.[0]), ["one", "two", "without events", "missing", "five", "call", "broken"]);
    assert.match(texts[1], /\+0 µs/);
    assert.match(texts[3], /2 events of sender “tab” are missing \(seq 3 to 4\)/);
    await page.getByText("2 applications").waitFor();
    await rows.filter({ hasText: "call" }).click();
    await page.getByRole("complementary").getByRole("heading", { name: "call" }).waitFor();
    await page.getByRole("tab", { name: "receipt" }).click();
    await page.getByText("1 arrival; the event is").waitFor();
    await page.getByRole("button", { name: "erase…" }).click();
    const erase = page.getByRole("dialog", { name: "Erase this session" });
    assert.ok(await erase.getByRole("button", { name: "Erase" }).isDisabled());
    await erase.getByLabel(/Type/).fill("erase");
    await erase.getByRole("button", { name: "Erase" }).click();
    await page.getByText("sessions-shop: 3 events").waitFor({ timeout: 60_000 });
    await page.getByRole("link", { name: "To the sessions" }).click();
    await page.goto(`${eye.url}/sessions/s-1`);
    await page.getByText("Nothing is known of this session").waitFor();
    await page.close();
  });

  test("a session of 5,000 events scrolls to its end", async () => {
    const { eye, browser } = world;
    const key = await eye.app("long");
    const begin = Date.now() - 5_000_000;
    await eye.send(key, Array.from({ length: 5000 }, (_, i) => event("long", `step ${i}`, { i }, { id: `long-${i}`, timestamp: new Date(begin + i * 1000).toISOString() })));
    const page = await open(browser, eye);
    await signIn(page, eye, eye.admin, "/sessions/long");
    const list = page.getByRole("region", { name: "Events of the session" });
    await list.getByText("step 0", { exact: true }).waitFor();
    await list.evaluate((e) => e.scrollTo(0, e.scrollHeight));
    await list.getByText("step 4999", { exact: true }).waitFor();
    assert.ok((await list.locator(".row").count()) < 120);
    await list.evaluate((e) => e.scrollTo(0, e.scrollHeight / 2));
    await list.getByText(/^step 2[45]\d\d$/).first().waitFor();
    await list.evaluate((e) => e.scrollTo(0, 0));
    await list.getByText("step 0", { exact: true }).waitFor();
    const { id } = await eye.call("GET", "/v1/events/long-4000");
    await page.goto(`${eye.url}/sessions/long?show=${id}`);
    await list.getByText("step 4000", { exact: true }).waitFor();
    await page.getByRole("complementary").getByRole("heading", { name: "step 4000" }).waitFor();
    await page.close();
  });

  test("live events appear, stand still and go on", async () => {
    const { eye, browser } = world;
    const key = await eye.app("live");
    const page = await open(browser, eye);
    await signIn(page, eye, eye.admin, "/live?app=live");
    await page.mouse.move(5, 5); // the list stands still under the pointer
    await page.getByText("connected").waitFor();
    await eye.send(key, event("l", "first"));
    await page.getByRole("button", { name: "first" }).waitFor();
    await page.getByRole("button", { name: "pause" }).click();
    await eye.send(key, [event("l", "second"), { ...event("l", "bad"), data: 1 }]);
    await page.getByText("2 new ones").waitFor();
    assert.equal(await page.getByRole("button", { name: "second" }).count(), 0);
    await page.getByRole("button", { name: "go on" }).click();
    await page.getByRole("button", { name: "second" }).click();
    await page.getByRole("complementary").getByRole("heading", { name: "second" }).waitFor();
    await page.getByRole("link", { name: "bad" }).waitFor();
    await page.close();
  });

  test("find knows ids, sessions, payloads and errors, and keeps them out of the address", async () => {
    const { eye, browser } = world;
    const key = await eye.app("find");
    const events = [event("find-session", "found", { token: "t-4711" })];
    const sent = await eye.send(key, [...events, { ...event("find-session", "bad"), timestamp: "yesterday" }]);
    const page = await open(browser, eye);
    await signIn(page, eye);
    for (const [text, heading] of [
      [sent.events[0].id, "An event with this id"],
      [sent.events[1].id, "Rejected"],
      ["find-session", "A session"],
      [JSON.stringify(events[0]), "An event with this payload"],
      ["is not a valid time", "Problems with this text"],
    ]) {
      await page.keyboard.press("/");
      await page.keyboard.insertText(text);
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: heading }).waitFor();
      assert.equal(new URL(page.url()).search, "", text);
      await page.locator("h1").click();
    }
    await fetch(`${eye.url}/v1/events`, { method: "POST", headers: { authorization: "Bearer eye_w_unknown" }, body: "{}" });
    await page.getByLabel(/An event id/).fill("never seen");
    await page.keyboard.press("Enter");
    await page.getByText("Nothing is known of this").waitFor();
    await page.getByText("Someone sent with an unknown key").waitFor();
    await page.getByRole("link", { name: "all of them" }).click();
    await page.getByRole("row").filter({ hasText: "with an unknown key" }).click();
    await page.getByText("a valid key is required").first().waitFor();
    await page.close();
  });

  test("applications and keys are made, changed and revoked, and the audit log tells", async () => {
    const { eye, browser } = world;
    const page = await open(browser, eye);
    await signIn(page, eye, eye.admin, "/apps");
    await page.getByRole("button", { name: "new application" }).click();
    await page.getByLabel("Name").fill("made-here");
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("complementary").getByText("No keys.").waitFor();
    await page.getByRole("button", { name: "new key" }).click();
    await page.getByRole("button", { name: "Create" }).click();
    const secret = await page.locator("[data-secret]").textContent();
    await eye.send(secret, event("k", "with the new key"));
    await page.getByRole("button", { name: "I have copied it" }).click();
    assert.equal(await page.getByText(secret).count(), 0);
    await page.getByRole("button", { name: "revoke" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("complementary").getByText("revoked").waitFor();
    await assert.rejects(eye.send(secret, event("k", "too late")), /401/);
    await page.getByLabel("Events per second").fill("50");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("saved").waitFor();
    assert.equal((await eye.call("GET", "/v1/apps/made-here")).rate, 50);
    await page.keyboard.press("Escape");
    await page.goto(`${eye.url}/audit?app=made-here`);
    await page.getByRole("row").filter({ hasText: "revoke app key" }).waitFor();
    await page.getByRole("row").filter({ hasText: "update app" }).first().click();
    await page.getByRole("complementary").locator(".json .k", { hasText: "rate" }).first().waitFor();
    await page.close();
  });

  test("a server that does not answer is told, and asked again", async () => {
    const { eye, browser } = world;
    const page = await open(browser, eye);
    await signIn(page, eye, eye.admin, "/events");
    await settled(page);
    await browser.context.setOffline(true);
    await page.getByRole("button", { name: "refresh" }).click();
    await page.getByRole("alert").filter({ hasText: "The server does not answer" }).first().waitFor();
    await browser.context.setOffline(false);
    await page.getByRole("button", { name: "try again" }).first().click();
    await page.getByRole("row").nth(1).waitFor();
    await page.close();
  });
}
