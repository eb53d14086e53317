// Takes pictures of every screen into docs/images: light, dark and narrow. They show the demo, with
// its week of history and its live traffic.
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { launch, open, settled, signIn } from "../test/browser/browser.mjs";
import { start } from "../test/browser/eye.mjs";

const folder = "../docs/images";
const most = 200 * 1024;
const eye = await start("--demo");
const browser = await launch();
try {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const names = await screens();
  for (const [look, options] of Object.entries({ light: {}, dark: { theme: "dark" }, narrow: { width: 390, height: 844 } })) {
    const page = await open(browser, eye, options);
    await page.goto(`${eye.url}/signin`);
    await page.getByLabel("Key", { exact: true }).waitFor();
    await take(page, "signin", look);
    await signIn(page, eye);
    for (const [name, path, act] of names) {
      await page.goto(eye.url + path);
      await settled(page).catch(() => {});
      await act?.(page);
      if (name === "live") await sleep(20_000); // about fifteen events
      await sleep(700);
      await take(page, name, look);
    }
    await page.close();
  }
} finally {
  await browser.close();
  await eye.stop();
}

/** screens returns names, addresses, and what is done there. */
async function screens() {
  const first = (path) => eye.call("GET", path);
  const rejection = (await first("/v1/rejections?code=schema_violation&name=submit&limit=1")).rejections[0];
  const session = (await first("/v1/sessions?limit=100")).sessions.sort((a, b) => b.apps.length - a.apps.length || b.rejections - a.rejections || b.events - a.events)[0];
  const span = "range=7d";
  const row = (n) => (page) => page.locator(`[data-index="${n}"]`).click();
  const type = `/types/${encodeURIComponent(rejection.category)}/${encodeURIComponent(rejection.name)}`;
  return [
    ["overview", `/overview?${span}`],
    ["live", "/live"],
    ["sessions", `/sessions?${span}`],
    ["session", `/sessions/${encodeURIComponent(session.session_id)}`],
    ["events", `/events?${span}`, row(2)],
    ["rejections", `/rejections?${span}`, row(0)],
    ["rejection", `/rejections/${rejection.id}`],
    ["types", `/types?${span}`],
    ["draft", `${type}?draft=${rejection.id}`, async (page) => {
      const fixes = page.getByRole("button", { name: /^(make|allow) / });
      while ((await fixes.count()) > 0) await fixes.first().click();
      await sleep(1500);
    }],
    ["find", "/find", async (page) => {
      await page.locator("#q").fill(session.session_id);
      await page.keyboard.press("Enter");
    }],
    ["apps", "/apps", row(3)],
    ["audit", `/audit?${span}`],
    ["unreadable", "/unreadable"],
    ["docs", "/docs"],
  ];
}

/** take writes a picture, which is not larger than most. */
async function take(page, name, look) {
  const path = `${folder}/${name}-${look}.png`;
  writeFileSync(path, await page.screenshot({ scale: "css" }));
  const size = statSync(path).size;
  if (size > most) throw new Error(`${path} has ${size} bytes, more than ${most}`);
}
