import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { applications, categories } from "../lib/colors.ts";
import { exact, short, utc, when } from "../lib/format.ts";
import { cut, pieces } from "../lib/text.ts";

/** Text shows text of others: it cannot change what is around it, and what is invisible has a mark. */
export function Text({ text, most }: { text: string; most?: number }) {
  const part = most ? cut(text, most) : { text, left: 0 };
  const all = pieces(part.text);
  return (
    <bdi>
      {all.length === 1 && !all[0]?.hidden
        ? part.text
        : all.map((p, i) => (p.hidden ? <span key={i} class="hidden-char" data-code={p.hidden} title="invisible character">{p.text}</span> : p.text))}
      {part.left > 0 && <span class="soft">…</span>}
    </bdi>
  );
}

/** Time shows a time in the reader's zone; its tooltip has UTC with microseconds. */
export function Time({ at, children }: { at: string; children?: ComponentChildren }) {
  return <time dateTime={at} title={utc(at)}>{children ?? when(at)}</time>;
}

/** Count shows a number, short if it is large. */
export function Count({ n }: { n: number }) {
  return n < 10_000 ? <span>{exact(n)}</span> : <span title={exact(n)}>{short(n)}</span>;
}

export function Category({ name }: { name: string }) {
  return <span class="named"><i class={`dot square c${categories.of(name)}`} /><span><Text text={name} most={200} /></span></span>;
}

export function AppName({ app }: { app: string }) {
  return <span class="named"><i class={`dot c${applications.of(app)}`} /><span>{app}</span></span>;
}

export function Copy({ text, label = "copy", class: extra = "tiny quiet" }: { text: string | (() => string); label?: string; class?: string }) {
  const [done, set] = useState<"" | "copied" | "not copied">("");
  const timer = useRef<number>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async () => {
    const ok = await toClipboard(typeof text === "string" ? text : text());
    set(ok ? "copied" : "not copied");
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => set(""), 1500);
  };
  return <button type="button" class={extra} onClick={copy}><span aria-live="polite">{done || label}</span></button>;
}

/** toClipboard also works without TLS, where browsers have no clipboard interface. */
async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "only-read";
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const ok = document.execCommand("copy");
    area.remove();
    return ok;
  }
}
