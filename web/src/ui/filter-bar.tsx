import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../lib/api.ts";
import { add, chips, ops, remove, type Chip, type Op } from "../lib/filter.ts";
import { fieldsOf } from "../lib/fields.ts";
import type { EventType, Values } from "../lib/model.ts";
import { params, setParams, shown } from "../lib/state.ts";
import { Text } from "./text.tsx";

const plainFields = ["category", "name", "session_id", "sender", "schema_version", "data"];

/** FilterBar shows the filters of the address as chips, and adds others. */
export function FilterBar({ more = [] }: { more?: string[] }) {
  const all = chips(params.value);
  return (
    <div class="filters" role="group" aria-label="Filters">
      {all.map((c) => (
        <span key={c.field + c.op + c.value} class="chip">
          <span class="cut"><Text text={c.field} most={80} /> <span class="soft">{c.op}</span> <span class="strong"><Text text={c.value} most={80} /></span></span>
          <button type="button" aria-label={`Remove ${c.field} ${c.op} ${c.value}`} onClick={() => setParams(remove(params.value, c))}>✕</button>
        </span>
      ))}
      <Adder more={more} />
    </div>
  );
}

function Adder({ more }: { more: string[] }) {
  const [open, setOpen] = useState(false);
  const [fields, setFields] = useState<string[]>([]);
  const [values, setValues] = useState<string[]>([]);
  const [field, setField] = useState("");
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => first.current?.focus(), [open]);
  const begin = async () => {
    setOpen(true);
    try {
      const { types } = await get<{ types: EventType[] }>("/v1/types");
      setFields(fieldsOf(types));
    } catch {
      // Fields can be typed all the same.
    }
  };
  const complete = async () => {
    setValues([]);
    if (!field || field === "data") return;
    try {
      const { values } = await get<Values>("/v1/values", { params: { field, limit: "30", ...shown.value } });
      setValues(values.map((v) => v.value));
    } catch {
      // Values can be typed all the same.
    }
  };
  if (!open) return <button type="button" class="quiet" onClick={begin}>+ filter</button>;
  return (
    <form class="add-filter" onSubmit={(e) => {
      e.preventDefault();
      const form = e.currentTarget.elements;
      const chip: Chip = { field: field.trim(), op: (form.namedItem("op") as HTMLSelectElement).value as Op, value: (form.namedItem("value") as HTMLInputElement).value };
      if (!chip.field) return;
      setParams(add(params.value, chip));
      setOpen(false);
      setField("");
    }} onKeyDown={(e) => e.key === "Escape" && setOpen(false)}>
      <input name="field" aria-label="Field" placeholder="field, such as data.path" list="fields" required autocomplete="off" spellcheck={false} value={field} onInput={(e) => setField(e.currentTarget.value)} ref={first} />
      <datalist id="fields">{[...plainFields, ...more, ...fields].map((f) => <option key={f} value={f} />)}</datalist>
      <select name="op" aria-label="Operator">{ops.map((o) => <option key={o}>{o}</option>)}</select>
      <input name="value" aria-label="Value" placeholder="value" list="values" autocomplete="off" spellcheck={false} onFocus={complete} />
      <datalist id="values">{values.map((v) => <option key={v} value={v} />)}</datalist>
      <button type="submit">add</button>
      <button type="button" class="quiet" aria-label="Do not add a filter" onClick={() => setOpen(false)}>✕</button>
    </form>
  );
}
