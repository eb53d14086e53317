import assert from "node:assert/strict";
import { test } from "node:test";
import { event } from "./eye.mjs";
import { open, settled, signIn } from "./browser.mjs";

const script = '<script>alert(1)</script><img src=x onerror=alert(2)><svg/onload=alert(3)>"\'`{{7*7}}';
const turned = "\u202Egnp.exe\u202C a\u200Bb \u2066c\u2069";
const long = "x".repeat(1 << 20);
const emoji = "👩‍👩‍👧‍👦".repeat(28).slice(0, 196);

/** hostile is an event whose every part tries to break the page. */
export function hostile() {
  const deep = "[".repeat(60) + '"deep"' + "]".repeat(60);
  const keys = Array.from({ length: 5000 }, (_, i) => `"k${i}":${i}`).join(",");
  const data = `{"path":${JSON.stringify(script)},"turned":${JSON.stringify(turned)},"digits":1234567890123456789012345678901234567890,"one":1.0,"b":1,"a":2,"__proto__":{"admin":true},"constructor":"x","deep":${deep},"keys":{${keys}}}`;
  const text = (session, name) => `{"session_id":${JSON.stringify(session)},"category":${JSON.stringify(script.slice(0, 100))},"name":${JSON.stringify(name)},"data":${data},"timestamp":"${new Date().toISOString()}"}`;
  return { text, data };
}

export function hostileTests(world) {
  test("hostile payloads are shown as text on every screen, and copied as they were sent", async () => {
    const { eye, browser } = world;
    const key = await eye.app("hostile");
    const h = hostile();
    const session = `${script.slice(0, 60)}/${turned}?#%2F`;
    for (const [s, name] of [[session, emoji], [session, script.slice(0, 120)], ["long", "long"]]) {
      const sent = await eye.send(key, h.text(s, name));
      assert.equal(sent.accepted, 1, JSON.stringify(sent));
    }
    await eye.send(key, event(session, "big", { text: long, tail: "end" }));
    await eye.send(key, `{"session_id":${JSON.stringify(session)},"category":"c","name":${JSON.stringify(script.slice(0, 100))},"data":{"a":1,"a":2},"timestamp":${JSON.stringify(script)}}`);
    await eye.send(key, `{"session_id":"x","category":"c","name":"n","data":"${"y".repeat(3000)}","timestamp":"2026-01-01T00:00:00Z","${script.replaceAll('"', "")}":1}`);
    await fetch(`${eye.url}/v1/events`, { method: "POST", headers: { authorization: `Bearer ${key}`, "user-agent": "<b>agent" }, body: `not json ${script}` });
    const big = (await eye.call("GET", "/v1/events?app=hostile&name=big")).events[0].id;
    const rejection = (await eye.call("GET", "/v1/rejections?app=hostile&limit=10")).rejections.find((r) => r.session_id === session);

    await browser.context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: eye.url });
    for (const width of [1280, 390]) {
      const page = await open(browser, eye, { width });
      await signIn(page, eye);
      for (const path of [
        "/overview?app=hostile", "/live?app=hostile", "/sessions?app=hostile", `/sessions/${encodeURIComponent(session)}`, "/events?app=hostile&col=data.path&col=data.turned",
        `/events?app=hostile&show=${big}`, "/rejections?app=hostile", `/rejections/${rejection.id}`, "/types?app=hostile", `/types/${encodeURIComponent(script.slice(0, 100))}/${encodeURIComponent(script.slice(0, 120))}`,
        "/find", "/apps", "/audit", "/unreadable",
      ]) {
        await page.goto(eye.url + path);
        await page.locator("h1").first().waitFor();
        await settled(page).catch(() => {});
        const broken = await page.evaluate(() => ({
          wide: document.documentElement.scrollWidth - innerWidth, main: document.querySelector("main").scrollWidth - document.querySelector("main").clientWidth,
          foreign: document.querySelectorAll("main script, main img, main iframe, [onerror], [onload]").length, polluted: {}.admin,
        }));
        assert.ok(broken.wide <= 0 && broken.main <= 0, `${path} at ${width}: ${JSON.stringify(broken)}`);
        assert.equal(broken.foreign, 0, path);
        assert.equal(broken.polluted, undefined);
      }
      await page.close();
    }

    const page = await open(browser, eye);
    await signIn(page, eye, eye.admin, "/events?app=hostile&name=long");
    await page.getByRole("row").nth(1).click();
    const details = page.getByRole("complementary", { name: "Details" });
    await details.getByText("1234567890123456789012345678901234567890").waitFor();
    const keys = await details.locator(".json .k").allTextContents();
    assert.deepEqual(keys.slice(0, 8), ["path", "turned", "digits", "one", "b", "a", "__proto__", "admin"]);
    assert.ok((await details.locator(".json .line").count()) < 400);
    for (const [field, want] of [["path", script], ["turned", turned], ["one", "1.0"]]) {
      const line = details.locator(".json .line").filter({ has: page.locator(".k", { hasText: new RegExp(`^${field}$`) }) }).first();
      await line.hover();
      await line.getByRole("button", { name: "copy" }).click();
      await line.getByText("copied").waitFor();
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), want);
    }
    await details.getByRole("button", { name: "copy event" }).click();
    await details.getByText("copied").last().waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.ok(copied.includes(`"data":${h.data}`), "the data is copied as it was sent");

    await page.goto(`${eye.url}/events?app=hostile&show=${big}`);
    const line = details.locator(".json .line").first();
    await line.getByText("characters").waitFor();
    await line.hover();
    await line.getByRole("button", { name: "copy" }).click();
    await line.getByText("copied").waitFor();
    assert.ok((await page.evaluate(() => navigator.clipboard.readText())) === long, "a text of a megabyte is copied whole");
    await page.close();
  });
}
