// The answers of the API, as far as the page uses them; see api/openapi.yaml.
import type { Raw } from "./json.ts";

export interface Login { login_id: string; key_id: string; kind: "read" | "admin"; app: string | null; ends_at: string }

export interface Event {
  app: string; id: string; client_id?: string; session_id: string; category: string; name: string;
  data: Raw; timestamp: Raw; occurred_at: string; received_at: string; sent_at: string | null;
  seq: number | null; sender: string | null; schema_version: number; corrected_by_ms?: number; late?: boolean;
}

export interface Session { session_id: string; apps: string[]; started_at: string; ended_at: string; events: number; rejections?: number; first?: Step; last?: Step; late?: number; missing?: number }
export interface Step { category: string; name: string; path?: string | null }
export interface Gap { sender: string; from_seq: number; to_seq: number; count: number; after: string; before: string }

export interface EventProblem { code: string; pointer: string; message: string; line?: number; column?: number; offset?: number }
export interface Rejection {
  id: string; event_id: string; client_id?: string; app: string; session_id: string; category: string; name: string; received_at: string;
  schema_version: number; problems: EventProblem[]; raw?: string; raw_base64?: string; truncated?: boolean; bytes?: number; became?: Became;
}
export interface Became { event_id: string; fate: string; at?: string; replay_id?: string }
export interface RejectionGroup {
  app: string; category: string; name: string; code: string; pointer: string; count: number;
  first_seen: string; last_seen: string; example: string; message: string; text: string;
  parts?: number[]; // its counts over the span
}

export interface Points { at: string; count: number }
export interface Series { interval: string; series: { group: string; points: Points[] }[] }
export interface Values { field: string; values: { value: string; count: number; type?: string }[]; other: number }

export interface EventType { category: string; name: string; version: number; schema: Raw; created_at: string; author: string | null }
export interface TypeVersion { version: number; schema: Raw; created_at: string; author: string | null; deleted_at: string | null }
export interface Reason { pointer: string; reason: string }
export interface Warning { pointer: string; message: string }
export interface TypePut extends EventType { made: boolean; dry_run: boolean; reasons: Reason[]; warnings: Warning[] }
export interface Tried { id: string; event_id: string; app: string; problems: EventProblem[] }
export interface Try {
  stored: { checked: number; would_fail: number; pointers: { pointer: string; count: number }[]; examples: Tried[] };
  rejected: { checked: number; would_pass: number; truncated?: number; pointers: { pointer: string; count: number }[]; examples: Tried[] };
  reasons: Reason[]; warnings: Warning[];
}
export interface Proposal { events: number; source: string; schema: Raw; evidence: { pointer: string; statement: string; seen: number; of: number; exceptions: number }[] }

export interface Replay {
  replay_id: string; state: "running" | "done" | "failed" | "cancelled"; dry_run: boolean; matched: number; would_pass: number; would_fail: number;
  done: number; stored: number; duplicates: number; still_rejected: number; conflicts: number; erased: number; expired: number; error?: string;
  left: { code: string; pointer: string; count: number }[]; examples: ReplayExample[];
}
export interface ReplayExample { rejection_id: string; event_id: string; passes: boolean; before: string; after: string; problems: EventProblem[] }

export interface App {
  app: string; time_zone: string; unknown_types: "accept" | "reject"; rate: number; retain: string; created_at: string; erasing_since?: string;
  last_event_at?: string | null; silent_after?: string;
}
export interface Key {
  key_id: string; app: string | null; kind: "write" | "read" | "admin"; name?: string; created_at: string; revoked_at: string | null;
  last_used_at: string | null; expires_at: string | null; origins: string[]; signing: boolean;
}
export interface NewKey { key_id: string; app: string | null; kind: string; key: string; signing_secret?: string }
export interface Account { app: string; received: number; stored: number; rejected: number; duplicate: number; erased: number; expired: number; lost: number; pending: number; balanced: boolean }
export interface Books { apps: Account[]; balanced: boolean }
export interface Readiness { ready: boolean; intake: boolean; read: boolean; reasons: string[] }
export interface Receipt {
  id: string; app: string; client_id?: string; status: string; also_in?: string[]; also_id?: string;
  arrivals: { position: { frame: number; index: number }; received_at: string; fate: string; problems: EventProblem[]; replay?: { at?: string; replay_id?: string; frame: number } }[];
}
export interface Overview {
  from: string; to: string;
  events: { count: number; before: number }; sessions: { count: number; before: number; approximate: boolean };
  rejected: { count: number; before: number; share: number; share_before: number }; visible: { events: number; p99_ms: number | null };
  state: { level: "ok" | "attention" | "failure"; text: string; ready: boolean; reasons: string[]; balanced: boolean; lost: number; pending: number };
  silent: { app: string; silent_after: string; last_event_at: string | null }[];
  marks: { category: string; name: string; version: number; published_at: string }[];
}
export interface Found {
  as: "id" | "payload" | "text"; cut_off: boolean; receipts: Receipt[]; sessions: Session[]; rejections: Rejection[]; groups: RejectionGroup[];
  refused: { app: string | null; reason: string; count: number; first_seen: string; last_seen: string }[];
}
export interface AuditEntry {
  id: string; at: string; key_id: string; act: string; app: string | null; subject: Record<string, string>; detail: Record<string, unknown>;
  outcome: string; status: number | null; remote: string | null;
}
export interface UnreadableRequest {
  at: string; app: string | null; reason: string; status: number; detail: string; path: string; remote: string | null;
  key_in: string; key_id: string | null; headers: Record<string, string>; body?: string; body_base64?: string;
}
export interface Unreadable { groups: { app: string | null; reason: string; count: number; first_seen: string; last_seen: string }[]; requests: UnreadableRequest[]; next_cursor: string | null }
export interface Page { next_cursor: string | null; searched_to?: string | null }
