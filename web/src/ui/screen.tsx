import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { oneLine } from "../lib/text.ts";

/** Screen is the content of the frame: a title, what one can do, and the main thing. */
export function Screen({ title, heading, actions, full = false, children }: { title: string; heading?: ComponentChildren; actions?: ComponentChildren; full?: boolean; children: ComponentChildren }) {
  useEffect(() => {
    document.title = `${oneLine(title)} · The Eye`;
  }, [title]);
  return (
    <div class={full ? "screen full" : "screen"}>
      <div class="title"><h1>{heading ?? title}</h1>{actions && <div class="actions">{actions}</div>}</div>
      {children}
    </div>
  );
}
