import type { Autocapture } from "./options.js";
import { vitals } from "./vitals.js";

/** Tracker is what autocapture needs of a client. */
export interface Tracker {
  track(category: string, name: string, data: Record<string, unknown>): void;
}

const interaction = "page interaction";
const campaign = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"];

/** How many errors of a page are recorded. */
const maxErrors = 10;

/** How much of the text of an error is recorded, in UTF-16 code units. */
const maxText = 1000;

/**
 * autocapture records the kinds of events that are not switched off, until the returned function is
 * called.
 */
export function autocapture(eye: Tracker, options: Autocapture): () => void {
  const listening = new AbortController();
  const { signal } = listening;
  const { pageviews = true, clicks = true, forms = true, errors = true, query = [] } = options;
  const here = () => address(location.href, query);

  if (pageviews) {
    let seen = "";
    let referrer = document.referrer && address(document.referrer, []);
    const view = () => {
      const parameters = new URLSearchParams(location.search);
      eye.track(interaction, "pageview", {
        url: here(),
        path: location.pathname,
        title: document.title,
        referrer,
        ...Object.fromEntries(campaign.filter((name) => parameters.has(name)).map((name) => [name, parameters.get(name)])),
        language: navigator.language,
        viewport_width: innerWidth,
        viewport_height: innerHeight,
      });
      seen = referrer = here();
    };
    // A router sets the title after it has changed the address.
    const moved = () => setTimeout(() => !signal.aborted && here() !== seen && view());
    const begin = () => {
      view();
      for (const method of ["pushState", "replaceState"] as const) {
        const original = history[method];
        history[method] = function (...args) {
          original.apply(this, args);
          moved();
        };
      }
      addEventListener("popstate", moved, { signal });
      addEventListener("pageshow", (event) => event.persisted && view(), { signal });
    };
    const parsed = () => {
      if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin, { signal });
      else begin();
    };
    if ((document as { prerendering?: boolean }).prerendering) document.addEventListener("prerenderingchange", parsed, { signal });
    else parsed();
  }

  if (clicks) {
    document.addEventListener("click", (event) => {
      const element = event.target instanceof Element && event.target.closest("[data-eye-name]");
      if (!element) return;
      const { name, category = interaction, ...data } = attributes(element);
      eye.track(category, name!, { path: location.pathname, ...data });
    }, { signal, capture: true });
  }

  if (forms) {
    document.addEventListener("submit", (event) => {
      const form = event.target as Element;
      const names = Array.from(form.querySelectorAll("input, select, textarea"), (field) => field.getAttribute("name"));
      eye.track(interaction, "form submit", {
        path: location.pathname,
        form: form.getAttribute("name") ?? form.getAttribute("id"),
        fields: [...new Set(names.filter(Boolean))],
      });
    }, { signal, capture: true });
  }

  if (errors) {
    let count = 0;
    const failed = (name: string, data: Record<string, unknown>, error: unknown) => {
      if (count++ >= maxErrors) return;
      const stack = error instanceof Error ? error.stack : undefined;
      eye.track("error", name, { path: location.pathname, ...data, stack: stack && withoutQueries(stack) });
    };
    addEventListener("error", ({ message, filename, lineno, colno, error }) => {
      failed("uncaught error", { message: withoutQueries(message), source: withoutQueries(filename), line: lineno, column: colno }, error);
    }, { signal });
    addEventListener("unhandledrejection", ({ reason }) => {
      failed("unhandled rejection", { message: withoutQueries(String(reason instanceof Error ? reason.message : reason)) }, reason);
    }, { signal });
  }

  if (options.vitals ?? true) vitals((values) => eye.track("performance", "web vitals", { path: location.pathname, ...values }), signal);

  return () => listening.abort();
}

/** address returns a URL without a fragment, and with only the listed parameters of its query. */
function address(href: string, query: string[]): string {
  const url = new URL(href);
  const kept = [...url.searchParams].filter(([name]) => query.includes(name));
  const search = new URLSearchParams(kept).toString();
  return `${url.protocol}//${url.host}${url.pathname}${search && `?${search}`}`;
}

/** attributes returns the attributes data-eye-* of an element without their prefix. */
function attributes(element: Element): Record<string, string> {
  const found = [...element.attributes].filter((a) => a.name.startsWith("data-eye-"));
  return Object.fromEntries(found.map((a) => [a.name.slice(9).replaceAll("-", "_"), a.value]));
}

const withoutQueries = (text: string) => text.replace(/\?[^\s:)]*/g, "").slice(0, maxText);
