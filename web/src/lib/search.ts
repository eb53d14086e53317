import { ApiError, get } from "./api.ts";
import type { Event, Receipt, Rejection, RejectionGroup, Session, Unreadable } from "./model.ts";
import { content, fieldOf, find, tree, type Node } from "./tree.ts";

export interface Found {
  receipt?: Receipt;
  session?: Session;
  events: Event[];
  rejections: Rejection[];
  groups: RejectionGroup[];
  unreadable?: Unreadable;
}

/** Query is what a text that somebody looks for may mean. */
export interface Query {
  ids: string[];
  sessions: string[];
  where: string[];
  text: string;
}

const mostConditions = 6;

/** meaning reads a text: an id, the beginning of an error, or an event as JSON. */
export function meaning(q: string): Query {
  const text = q.trim();
  const root = /^[{[]/.test(text) ? tree(text) : undefined;
  if (!root) return { ids: text.length <= 200 ? [text] : [], sessions: text.length <= 200 ? [text] : [], where: [], text };
  const event = root.kind === "array" ? root.children[0]?.node : root;
  if (!event) return { ids: [], sessions: [], where: [], text: "" };
  const member = (name: string) => {
    const at = find(event, `/${name}`);
    return at.exact && at.node.kind === "string" ? [content(at.node)] : [];
  };
  const data = find(event, "/data");
  return { ids: member("id"), sessions: member("session_id"), where: conditions(data.exact ? data.node : event, data.exact), text: "" };
}

/** conditions are the plain values of data, as conditions that all must hold. */
function conditions(data: Node, isData: boolean): string[] {
  const out: string[] = [];
  const walk = (n: Node, pointer: string) => {
    for (const c of n.children) {
      const at = `${pointer}/${c.key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
      if (c.node.children.length > 0) walk(c.node, at);
      else if (c.node.kind === "string" || c.node.kind === "number") {
        const field = fieldOf(at);
        const value = content(c.node);
        if (field && value.length <= 200 && out.length < mostConditions) out.push(`${field}=${value}`);
      }
    }
  };
  if (isData || data.kind === "object") walk(data, "/data");
  return out;
}

/** search asks for everything that a text may mean. What a key may not see is left out. */
export async function search(q: string, admin: boolean, signal: AbortSignal): Promise<Found> {
  const m = meaning(q);
  const nothing = <T>(fallback: T) => (e: unknown): T => {
    if (e instanceof ApiError && [400, 403, 404].includes(e.status)) return fallback;
    throw e;
  };
  const id = m.ids[0];
  const session = m.sessions[0];
  const [receipt, sessionAnswer, events, byID, byData, summary, unreadable] = await Promise.all([
    id === undefined ? undefined : get<Receipt>(`/v1/receipts/${encodeURIComponent(id)}`, { signal }).catch(nothing(undefined)),
    session === undefined ? undefined : get<{ session: Session }>("/v1/sessions", { params: { session_id: session, exact: "1", limit: "1" }, signal }).catch(nothing(undefined)),
    m.where.length === 0 ? undefined : get<{ events: Event[] }>("/v1/events", { params: { where: m.where, order: "desc", limit: "20" }, signal }).catch(nothing(undefined)),
    id === undefined ? undefined : get<{ rejections: Rejection[] }>("/v1/rejections", { params: { event_id: id, limit: "20" }, signal }).catch(nothing(undefined)),
    m.where.length === 0 ? undefined : get<{ rejections: Rejection[] }>("/v1/rejections", { params: { where: m.where, limit: "20" }, signal }).catch(nothing(undefined)),
    m.text.length < 3 ? undefined : get<{ groups: RejectionGroup[] }>("/v1/rejections/summary", { params: { limit: "1000" }, signal }).catch(nothing(undefined)),
    admin ? get<Unreadable>("/v1/unreadable", { params: { limit: "20" }, signal }).catch(nothing(undefined)) : undefined,
  ]);
  const wanted = m.text.toLowerCase();
  const rejections = new Map([...(byID?.rejections ?? []), ...(byData?.rejections ?? [])].map((r) => [r.id, r]));
  return {
    ...(receipt ? { receipt } : {}),
    ...(sessionAnswer ? { session: sessionAnswer.session } : {}),
    events: events?.events ?? [],
    rejections: [...rejections.values()],
    groups: (summary?.groups ?? []).filter((g) => `${g.message} ${g.text} ${g.code} ${g.pointer}`.toLowerCase().includes(wanted)),
    ...(unreadable ? { unreadable } : {}),
  };
}

const refusals: Record<string, string> = {
  no_key: "without a key", unknown_key: "with an unknown key", revoked_key: "with a revoked key", expired_key: "with an expired key", key_not_valid: "with a key that is not valid",
  bad_signature: "with a wrong signature", wrong_kind: "with a key of the wrong kind", wrong_origin: "from an origin that its key does not allow", not_allowed: "without permission",
  over_rate: "faster than its rate allows", bad_request: "something that could not be read",
};

/** refusal says in words what happened to requests. */
export function refusal(reason: string): string {
  return refusals[reason] ?? reason.replaceAll("_", " ");
}
