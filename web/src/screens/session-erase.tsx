import { useState } from "preact/hooks";
import { call, messageOf } from "../lib/api.ts";
import { plural } from "../lib/format.ts";
import { to } from "../lib/state.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Notice } from "../ui/state.tsx";
import { Text } from "../ui/text.tsx";

interface Report { apps: { app: string; events: number; rejections: number }[]; unsearched: { where: string; files: number }[]; rejections_without_session?: number }

/** EraseSession erases a session everywhere, after one has typed a word, and shows the report. */
export function EraseSession({ id, close }: { id: string; close: () => void }) {
  const [word, setWord] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const [report, setReport] = useState<Report>();
  const erase = async () => {
    setBusy(true);
    try {
      setReport(await call<Report>("DELETE", `/v1/sessions/${encodeURIComponent(id)}`));
      setError("");
    } catch (e) {
      setError(messageOf(e));
    }
    setBusy(false);
  };
  if (report) {
    return (
      <Dialog title="The session is erased" close={close} foot={<a class="button primary" href={to("/sessions")}>To the sessions</a>}>
        <ul class="stack-8">{report.apps.map((a) => <li key={a.app}>{a.app}: {plural(a.events, "event")} and {plural(a.rejections, "rejection")} erased</li>)}</ul>
        {report.unsearched.map((u) => <Notice key={u.where} kind="late" text={`${plural(u.files, "file")} in ${u.where} could not be searched.`} />)}
        {(report.rejections_without_session ?? 0) > 0 && <p>{plural(report.rejections_without_session!, "rejection")} remain from which no session could be read; they may contain its id.</p>}
      </Dialog>
    );
  }
  return (
    <Dialog title="Erase this session" close={close} foot={<><button type="button" onClick={close}>Keep it</button><button type="button" class="danger" disabled={word !== "erase" || busy} onClick={erase}>{busy ? "Erasing…" : "Erase"}</button></>}>
      <p>All events and rejections of the session <span class="mono break"><Text text={id} most={200} /></span> are removed from all applications, from the queue and from the store. This cannot be undone.</p>
      <div class="field"><label for="word">Type “erase” to confirm</label><input id="word" value={word} autocomplete="off" onInput={(e) => setWord(e.currentTarget.value)} /></div>
      {error && <Notice text={error} />}
    </Dialog>
  );
}
