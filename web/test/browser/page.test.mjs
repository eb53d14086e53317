// The page, in Debian's Chromium, against a server of The Eye.
import { after, before } from "node:test";
import { accessTests } from "./access.mjs";
import { careTests } from "./care.mjs";
import { launch } from "./browser.mjs";
import { start } from "./eye.mjs";
import { docsTests } from "./docs.mjs";
import { hostileTests } from "./hostile.mjs";
import { screenTests } from "./screens.mjs";
import { signInTests } from "./signin.mjs";
import { storyTests } from "./story.mjs";

const world = {};

before(async () => {
  world.eye = await start("--max-event-bytes", "2MiB"); // for a text of a megabyte
  world.browser = await launch();
});

after(async () => {
  await world.browser?.close();
  await world.eye?.stop();
});

screenTests(world);
signInTests(world);
storyTests(world);
hostileTests(world);
docsTests(world);
accessTests(world);
careTests(world);
