import { useEffect, useRef, useState } from "preact/hooks";
import { address } from "../lib/api.ts";
import { Copy } from "./text.tsx";

/** ShareMenu gives what is selected as an address, a command, or a file. */
export function ShareMenu({ query, list = "events" }: { query: URLSearchParams; list?: "events" | "sessions" | "rejections" }) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    const close = (e: Event) => {
      if (e instanceof KeyboardEvent ? e.key === "Escape" : !box.current?.contains(e.target as Node)) setOpen(false);
    };
    addEventListener("click", close);
    addEventListener("keydown", close);
    return () => {
      removeEventListener("click", close);
      removeEventListener("keydown", close);
    };
  }, [open]);
  const flags = [...query].map(([name, value]) => ` --${name.replaceAll("_", "-")} ${quote(value)}`).join("");
  const file = (format: string) => address("/v1/export", new URLSearchParams([...query, ["format", format], ...(format === "csv" ? [["safe", "1"]] : [])]));
  return (
    <div class="menu" ref={box}>
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>Share and export</button>
      {open && (
        <div class="menu-items">
          <Copy class="quiet" label="copy the address of this screen" text={() => location.href} />
          <Copy class="quiet" label="copy as curl" text={() => `curl -s '${location.origin}${address(`/v1/${list}`, query)}' -H "Authorization: Bearer $EYE_KEY"`} />
          <Copy class="quiet" label={`copy as eye ${list}`} text={() => `eye ${list}${flags}`} />
          {list === "events" && <><hr />
            <a class="button quiet" href={file("ndjson")} download="events.ndjson">export as NDJSON</a>
            <a class="button quiet" href={file("csv")} download="events.csv">export as CSV</a>
            <a class="button quiet" href={file("parquet")} download="events.parquet">export as Parquet</a></>}
        </div>
      )}
    </div>
  );
}

function quote(value: string): string {
  return /^[\w./:@-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
