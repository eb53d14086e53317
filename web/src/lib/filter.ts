// Filters are parameters with the names of the API. A chip stands for one of them.

export interface Chip {
  /** category, name, session_id, or a field with where. */
  field: string;
  op: Op;
  value: string;
}

export const ops = ["=", "!=", "~", ">", ">=", "<", "<="] as const;
export type Op = (typeof ops)[number];

/** repeated are the fields with parameters of their own, for equality. */
const own = ["category", "name", "session_id", "code", "pointer", "event_id"];

/** chips reads the filters of an address. */
export function chips(params: URLSearchParams): Chip[] {
  const out: Chip[] = [];
  for (const field of own) for (const value of params.getAll(field)) out.push({ field, op: "=", value });
  for (const text of params.getAll("where")) {
    const chip = parseWhere(text);
    if (chip) out.push(chip);
  }
  return out;
}

/** parseWhere splits a condition at its operator, outside of quotes. */
export function parseWhere(text: string): Chip | undefined {
  let inQuotes = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === "\\" && inQuotes) i++;
    else if (c === '"') inQuotes = !inQuotes;
    else if (!inQuotes && c && "=!<>~".includes(c)) {
      const two = text.slice(i, i + 2);
      const op = (two === "!=" || two === "<=" || two === ">=" ? two : c) as Op;
      if (!(ops as readonly string[]).includes(op) || i === 0) return undefined;
      return { field: text.slice(0, i).trim(), op, value: text.slice(i + op.length) };
    }
  }
  return undefined;
}

export function whereOf(c: Chip): string {
  return `${c.field}${c.op}${c.value}`;
}

/** add returns the parameters with one more filter; the same filter twice counts once. */
export function add(params: URLSearchParams, chip: Chip): URLSearchParams {
  const out = new URLSearchParams(params);
  const name = own.includes(chip.field) && chip.op === "=" ? chip.field : "where";
  const value = name === "where" ? whereOf(chip) : chip.value;
  if (!out.getAll(name).includes(value)) out.append(name, value);
  return out;
}

/**
 * select returns the parameters with a filter for a value as it is. In conditions, one that would be
 * read in another way is written as a JSON string, and so is a text in data that reads as a number,
 * true, false or null.
 */
export function select(params: URLSearchParams, field: string, op: "=" | "!=", value: string, text = false): URLSearchParams {
  const plain = own.includes(field) && op === "=";
  const word = /^(true|false|null|-?\d+(\.\d+)?([eE][+-]?\d+)?)$/.test(value);
  const special = /^[\s=<>~"']|\s$/.test(value) || (text && word && field.startsWith("data."));
  return add(params, { field, op, value: special && !plain ? JSON.stringify(value) : value });
}

/** remove returns the parameters without a filter. */
export function remove(params: URLSearchParams, chip: Chip): URLSearchParams {
  const out = new URLSearchParams();
  for (const [name, value] of params) {
    const same = name === "where" ? value === whereOf(chip) : name === chip.field && chip.op === "=" && value === chip.value;
    if (!same) out.append(name, value);
  }
  return out;
}

/** api returns those parameters of an address that the lists of the API take. */
export function api(params: URLSearchParams, names: readonly string[]): URLSearchParams {
  const out = new URLSearchParams();
  for (const [name, value] of params) if (names.includes(name) && value !== "") out.append(name, value);
  return out;
}

export const eventFilters = ["app", "session_id", "category", "name", "where"] as const;
export const rejectionFilters = [...eventFilters, "code", "pointer", "event_id"] as const;
