// The script of a page: it makes a client from the attributes of its own tag.
import { Eye } from "./eye.js";
import type { Autocapture, Options } from "./options.js";

declare global {
  interface Window {
    theeye?: { Eye: typeof Eye; eye?: Eye };
  }
}

const kinds = ["pageviews", "clicks", "forms", "errors", "vitals"] as const;

function optionsOf(script: HTMLScriptElement): Options | undefined {
  const { key, url = new URL(script.src).origin, autocapture, session, cookieDomain, webdriver } = script.dataset;
  if (key === undefined) return undefined;
  const listed = autocapture?.split(/[\s,]+/).filter(Boolean) ?? [];
  const some: Autocapture = Object.fromEntries([...kinds.map((kind) => [kind, false]), ...listed.map((kind) => [kind, true])]);
  return {
    url,
    key,
    autocapture: autocapture !== undefined && (listed.length === 0 || some),
    webdriver: webdriver !== undefined,
    session: session || undefined,
    cookieDomain: cookieDomain || undefined,
  } as Options;
}

const script = document.currentScript as HTMLScriptElement | null;
const options = script ? optionsOf(script) : undefined;
window.theeye = options ? { Eye, eye: new Eye(options) } : { Eye };
