import { useEffect, useState } from "preact/hooks";
import { screens } from "../lib/screens.ts";
import { change, go, isAdmin, params, to } from "../lib/state.ts";
import { Dialog } from "./dialog.tsx";

/** Keys makes the keyboard work on every screen, and lists what it does. */
export function Keys() {
  const [help, setHelp] = useState(false);
  useEffect(() => {
    let leader = 0; // when g was pressed
    const press = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      const target = event.composedPath()[0] as HTMLElement;
      if (event.key === "Escape") {
        if (target.matches?.("input, select, textarea")) target.blur();
        else if (params.peek().has("show")) change({ show: undefined });
        return;
      }
      if (target.matches?.("input, select, textarea, [contenteditable=true]")) return;
      const led = Date.now() - leader < 1500;
      leader = 0;
      if (led) {
        const screen = screens.find((s) => s.key === event.key && (!s.admin || isAdmin.peek()));
        if (!screen) return;
        event.preventDefault();
        go(to(`/${screen.screen}`));
        document.getElementById("main")?.focus();
      } else if (event.key === "g") leader = Date.now();
      else if (event.key === "/") {
        event.preventDefault();
        document.getElementById("search")?.focus();
      } else if (event.key === "?") setHelp(true);
      else if (event.key === "j" || event.key === "k") {
        event.preventDefault();
        const rows = document.querySelector("[data-rows]");
        (rows?.querySelector<HTMLElement>('[data-index][tabindex="0"]') ?? rows?.querySelector<HTMLElement>("[data-index]"))?.focus();
      }
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
  if (!help) return null;
  return (
    <Dialog title="Keyboard" close={() => setHelp(false)}>
      <dl class="facts">
        <dt><kbd>/</kbd></dt><dd>search</dd>
        <dt><kbd>j</kbd> <kbd>k</kbd></dt><dd>next and previous row</dd>
        <dt><kbd>Enter</kbd></dt><dd>open the row</dd>
        <dt><kbd>Esc</kbd></dt><dd>close the panel or dialog</dd>
        {screens.filter((s) => !s.admin || isAdmin.value).map((s) => [<dt key={s.key}><kbd>g</kbd> <kbd>{s.key}</kbd></dt>, <dd key={s.title}>{s.title}</dd>])}
        <dt><kbd>?</kbd></dt><dd>this list</dd>
      </dl>
    </Dialog>
  );
}
