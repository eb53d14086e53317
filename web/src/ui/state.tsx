import type { ComponentChildren } from "preact";

/** Notice says what went wrong and what to do. */
export function Notice({ text, retry, kind = "", children }: { text: string; retry?: () => void; kind?: "" | "late" | "note"; children?: ComponentChildren }) {
  return (
    <div class={`notice ${kind}`} role={kind === "note" ? "status" : "alert"}>
      <p>{text}</p>
      {children}
      {retry && <button type="button" class="tiny" onClick={retry}>try again</button>}
    </div>
  );
}

/** Empty says what would be here, why it is empty, and what to do. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {typeof children === "string" ? <p>{children}</p> : children}
    </div>
  );
}

/** Skeleton takes the place of what is on its way. */
export function Skeleton({ height = 16, lines = 1 }: { height?: number; lines?: number }) {
  return (
    <div class="stack-8" aria-hidden="true">
      {Array.from({ length: lines }, (_, i) => <div key={i} class="skeleton" style={{ height: `${height}px` }} />)}
    </div>
  );
}
