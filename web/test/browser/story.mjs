import assert from "node:assert/strict";
import { test } from "node:test";
import { event } from "./eye.mjs";
import { open, settled, signIn } from "./browser.mjs";

/** The story for which the page is made: wrong events arrive, and are repaired. */
export function storyTests(world) {
  test("wrong events → overview → group → draft → try → publish → replay → session complete", async () => {
    const { eye, browser } = world;
    const key = await eye.app("story");
    const schema = { type: "object", properties: { path: { type: "string" }, phone: { type: "string" } }, required: ["path", "phone"], additionalProperties: false };
    await eye.call("PUT", "/v1/types/form/submit", schema);
    const submit = (i, data) => ({ ...event(`visitor-${i}`, "submit", data, { ago: 60 - i }), category: "form" });
    await eye.send(key, [submit(0, { path: "/", phone: "1" }), { ...event("visitor-1", "start", {}, { ago: 62 }), category: "form" }]);
    await eye.send(key, Array.from({ length: 12 }, (_, i) => submit(i + 1, { path: "/quote" })));

    const page = await open(browser, eye);
    await signIn(page, eye, eye.admin, "/overview?app=story");
    await page.getByRole("link", { name: /Missing property 'phone'/ }).click();
    await page.getByRole("heading", { name: "Rejections" }).waitFor();
    const details = page.getByRole("complementary", { name: "Details" });
    await details.getByText("12 times").waitFor();
    await details.getByRole("link", { name: "draft a fix" }).click();
    await page.getByRole("heading", { name: "submit" }).waitFor();
    await page.getByRole("button", { name: "make phone optional" }).click();
    const verdict = page.getByRole("region", { name: "What the draft would do" });
    await verdict.getByText(/^12 of 12/).waitFor();
    await page.getByText("the draft accepts it").waitFor();
    await page.getByRole("button", { name: "publish…" }).click();
    const publish = page.getByRole("dialog", { name: "Publish this version" });
    await publish.getByText("Compatible:").waitFor();
    await publish.getByRole("button", { name: "publish" }).click();
    const replay = page.getByRole("dialog", { name: "Replay" });
    await replay.getByText("12 would be stored").waitFor();
    await replay.getByRole("button", { name: "replay 12" }).click();
    await replay.getByText("12 events replayed").waitFor();
    await replay.getByRole("link", { name: "show the session" }).click();
    await page.waitForURL("**/sessions/visitor-*");
    const session = new URL(page.url()).pathname.split("/").at(-1);
    await page.getByRole("listitem").filter({ hasText: "submit" }).waitFor();
    assert.equal(await page.getByText("rejected", { exact: false }).filter({ hasText: /\d rejected/ }).count(), 0);
    await page.goto(`${eye.url}/rejections?app=story`);
    await settled(page);
    await page.getByText("Nothing was rejected here").waitFor();
    assert.equal((await eye.call("GET", `/v1/sessions/${session}`)).events.at(-1).name, "submit");
    assert.equal((await eye.call("GET", "/v1/types/form/submit")).version, 2);
    await page.close();
  });

  test("a mistake in a draft is shown at its place, and is not published", async () => {
    const { eye, browser } = world;
    await eye.call("PUT", "/v1/types/form/other", { type: "object" });
    const page = await open(browser, eye);
    await signIn(page, eye, eye.admin, "/types/form/other");
    const editor = page.locator("[data-editor] .cm-content");
    await editor.click();
    await page.keyboard.press("Control+a");
    await page.keyboard.insertText('{"type":"objekt"}');
    await page.locator(".findings .bad").waitFor();
    assert.ok(await page.getByRole("button", { name: "publish…" }).isDisabled());
    await page.locator("[data-editor] .cm-lint-marker-error").waitFor();
    await editor.click();
    await page.keyboard.press("Control+a");
    await page.keyboard.insertText('{"type":"object","required":["a"]}');
    await page.locator(".findings").getByText(/Not compatible/).first().waitFor();
    await page.getByRole("button", { name: "discard" }).click();
    await page.getByText("Schema in force").waitFor();
    await page.close();
  });

  test("a type without a schema gets one from its events", async () => {
    const { eye, browser } = world;
    const key = await eye.app("proposals");
    await eye.send(key, Array.from({ length: 5 }, (_, i) => ({ ...event("p", "step", { n: i, path: "/" }), category: "wizard" })));
    const page = await open(browser, eye);
    await signIn(page, eye, eye.admin, "/types?app=proposals");
    await page.getByRole("row").filter({ hasText: "step" }).getByText("without schema").waitFor();
    await page.getByRole("link", { name: "step" }).click();
    await page.getByRole("button", { name: "propose one from its events" }).click();
    await page.getByRole("region", { name: "Evidence" }).waitFor();
    await page.getByRole("button", { name: "publish…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "publish" }).click();
    await page.getByText("Version 1 is in force.").waitFor();
    assert.equal((await eye.call("GET", "/v1/types/wizard/step")).version, 1);
    await page.close();
  });
}
