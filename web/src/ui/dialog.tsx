import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

/** Dialog shows something above the screen until it is closed. Escape closes it. */
export function Dialog({ title, close, children, foot }: { title: string; close: () => void; children: ComponentChildren; foot?: ComponentChildren }) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    ref.current?.showModal();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog ref={ref} aria-labelledby={id} onCancel={(e) => { e.preventDefault(); close(); }} onClick={(e) => e.target === ref.current && close()} onKeyDown={(e) => e.stopPropagation()}>
      <header><h2 id={id}>{title}</h2><button type="button" class="quiet" aria-label="Close" onClick={close}>✕</button></header>
      <div class="body">{children}</div>
      {foot && <footer>{foot}</footer>}
    </dialog>
  );
}

/** Panel is the one panel beside the main thing; a sheet on a narrow screen. */
export function Panel({ title, close, actions, children }: { title: ComponentChildren; close: () => void; actions?: ComponentChildren; children: ComponentChildren }) {
  return (
    <aside class="panel" aria-label="Details">
      <header><h2 class="cut grow">{title}</h2>{actions}<button type="button" class="quiet tiny" aria-label="Close" onClick={close}>✕</button></header>
      <div class="inside" tabIndex={0} role="group" aria-label="Details">{children}</div>
    </aside>
  );
}
