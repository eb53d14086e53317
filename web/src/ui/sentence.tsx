import { capital } from "../lib/api.ts";
import type { EventProblem } from "../lib/model.ts";
import { to } from "../lib/state.ts";
import { Text } from "./text.tsx";

/** Words for codes of problems; unknown ones are shown as they are, for the list grows. */
const words: Record<string, string> = {
  invalid_json: "not JSON",
  not_an_object: "not an object",
  missing_field: "missing field",
  invalid_field: "field not valid",
  invalid_unicode: "text not valid",
  nul_character: "NUL character",
  number_out_of_range: "number out of range",
  duplicate_key: "key twice",
  data_too_deep: "too deep",
  event_too_large: "event too large",
  schema_violation: "against the schema",
  unknown_event_type: "unknown type",
  timestamp_missing: "no time",
  timestamp_unparsable: "time cannot be read",
  timestamp_in_future: "in the future",
  timestamp_out_of_range: "time out of range",
  id_conflict: "id used before",
  not_storable: "not storable",
  request_too_large: "request too large",
  unsupported_content: "content not supported",
};

export function inWords(code: string): string {
  return words[code] ?? code.replaceAll("_", " ");
}

/** Sentence is a problem in words. Its pointer is a link to the rejections with the same problem. */
export function Sentence({ problem, app }: { problem: EventProblem; app?: string }) {
  return (
    <span class="sentence break">
      <Text text={capital(problem.message)} most={400} />
      {problem.pointer !== "" && <> at <a class="mono" href={to("/rejections", { pointer: problem.pointer, code: problem.code, ...(app ? { app } : {}) })}><Text text={problem.pointer} most={120} /></a></>}
    </span>
  );
}
