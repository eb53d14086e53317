import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { fresh, health, learnColors, learnFresh, learnHealth } from "../lib/health.ts";
import { part, screens } from "../lib/screens.ts";
import { current, isAdmin, login, one, refresh, signOut, stillIn, to, params } from "../lib/state.ts";
import { theme, toggleTheme } from "../lib/theme.ts";
import { Dialog } from "./dialog.tsx";
import { Keys } from "./keys.tsx";
import { TopBar } from "./topbar.tsx";

/** Frame is what surrounds every screen. */
export function Frame({ children }: { children: ComponentChildren }) {
  useEffect(() => every(15_000, learnHealth), []);
  useEffect(() => every(60_000, learnFresh), []);
  useEffect(() => {
    const timer = setTimeout(learnColors, 1500);
    return () => clearTimeout(timer);
  }, []);
  const live = params.value.get("live") === "1";
  useEffect(() => (live ? every(10_000, () => refresh(true), false) : undefined), [live]);
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to the content</a>
      <Rail />
      <TopBar />
      <main class="main" id="main" tabIndex={-1}>{children}</main>
      <Bottom />
      <Keys />
    </div>
  );
}

/** every does something at once and then again and again while the page is visible. */
function every(ms: number, what: () => unknown, atOnce = true): () => void {
  if (atOnce) void what();
  const timer = setInterval(() => document.visibilityState === "visible" && what(), ms);
  return () => clearInterval(timer);
}

function shown() {
  return screens.filter((s) => !s.admin || isAdmin.value);
}

function Entries({ below }: { below: boolean }) {
  const at = part(current.value.screen);
  return (
    <ul>
      {shown().filter((s) => (s.below ?? false) === below).map((s) => (
        <li key={s.screen}>
          <a href={to(`/${s.screen}`)} aria-current={at === s.screen ? "page" : undefined}>
            <span>{s.title}</span>
            {s.screen === "rejections" && fresh.value > 0 && <span class="badge"><span aria-hidden="true">{fresh.value}</span><span class="only-read">, {fresh.value} new groups</span></span>}
          </a>
        </li>
      ))}
    </ul>
  );
}

function Logo() {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M2 12s3.6-7 10-7 10 7 10 7-3.6 7-10 7S2 12 2 12Z" fill="none" stroke="var(--accent)" stroke-width="2" /><circle cx="12" cy="12" r="3.5" fill="var(--accent)" /></svg>
  );
}

function Rail() {
  return (
    <header class="rail">
      <a class="brand" href={to("/overview")}><Logo />The Eye</a>
      <nav aria-label="Screens">
        <Entries below={false} />
        {shown().some((s) => s.below) && <hr />}
        <Entries below />
      </nav>
      <Foot />
    </header>
  );
}

function Foot() {
  const who = login.value;
  return (
    <div class="foot">
      <a class={`health ${health.value.kind}`} href={to("/overview", { show: "books" })}><span class="break">{health.value.text}</span></a>
      <div class="row-flex wrap soft">
        <span>{who?.kind === "admin" ? "admin key" : "read key"}{one.value ? ` of ${one.value}` : ""}</span>
        <span aria-hidden="true">·</span>
        <button type="button" class="link" onClick={() => void signOut()}>sign out</button>
      </div>
      {stillIn.value && <p class="bad" role="alert">{stillIn.value}</p>}
      <button type="button" class="link soft" onClick={toggleTheme}>{theme.value === "dark" ? "light colours" : "dark colours"}</button>
    </div>
  );
}

/** Bottom takes the place of the rail on a narrow screen. */
function Bottom() {
  const [more, setMore] = useState(false);
  const at = part(current.value.screen);
  const first = shown().filter((s) => ["overview", "live", "sessions", "events", "rejections"].includes(s.screen));
  const rest = shown().filter((s) => !first.includes(s));
  useEffect(() => setMore(false), [current.value]);
  return (
    <>
      <nav class="bottom" aria-label="Screens">
        {first.map((s) => (
          <a key={s.screen} href={to(`/${s.screen}`)} aria-current={at === s.screen ? "page" : undefined}>
            {s.title}
            {s.screen === "rejections" && fresh.value > 0 && <span class="badge">{fresh.value}</span>}
          </a>
        ))}
        <button type="button" aria-expanded={more} onClick={() => setMore(true)}>More</button>
      </nav>
      {more && (
        <Dialog title="The Eye" close={() => setMore(false)}>
          <ul class="more-screens">{rest.map((s) => <li key={s.screen}><a href={to(`/${s.screen}`)}>{s.title}</a></li>)}</ul>
          <Foot />
        </Dialog>
      )}
    </>
  );
}
