import { useState } from "preact/hooks";
import { call, messageOf } from "../lib/api.ts";
import type { App } from "../lib/model.ts";
import { change } from "../lib/state.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Notice } from "../ui/state.tsx";

/** AppSettings changes the settings of an application. */
export function AppSettings({ app, changed }: { app: App; changed: () => void }) {
  const [error, setError] = useState("");
  const [saved, setSaved] = useState(false);
  const [erasing, setErasing] = useState(false);
  const silence = "silent_after" in app;
  const save = async (e: SubmitEvent) => {
    e.preventDefault();
    const form = new FormData(e.currentTarget as HTMLFormElement);
    const text = (name: string) => String(form.get(name) ?? "").trim();
    try {
      await call("PATCH", `/v1/apps/${encodeURIComponent(app.app)}`, {
        body: { time_zone: text("time_zone"), unknown_types: text("unknown_types"), rate: Number(text("rate") || "0"), retain: text("retain"), ...(silence ? { silent_after: text("silent_after") } : {}) },
      });
      setError("");
      setSaved(true);
      changed();
    } catch (err) {
      setSaved(false);
      setError(messageOf(err));
    }
  };
  return (
    <section class="stack-8" aria-label="Settings">
      <h2>Settings</h2>
      <form class="settings" onSubmit={save} onInput={() => setSaved(false)}>
        <label for="zone">Time zone</label><div><input id="zone" name="time_zone" defaultValue={app.time_zone} spellcheck={false} /><div class="hint">of times without one</div></div>
        <label for="unknown">Unknown types</label><div><select id="unknown" name="unknown_types" defaultValue={app.unknown_types} value={app.unknown_types}><option value="accept">accept</option><option value="reject">reject</option></select></div>
        <label for="rate">Events per second</label><div><input id="rate" name="rate" type="number" min="0" defaultValue={String(app.rate)} /><div class="hint">0 for no limit</div></div>
        <label for="retain">Keep for</label><div><input id="retain" name="retain" defaultValue={app.retain} placeholder="as the server" spellcheck={false} /><div class="hint">such as 720h or 30d; 0 for ever</div></div>
        {silence && <><label for="silent">Tell when silent for</label><div><input id="silent" name="silent_after" defaultValue={app.silent_after ?? ""} placeholder="never" /></div></>}
        <span /><div class="row-flex wrap"><button type="submit" class="primary">Save</button><span class="good" aria-live="polite">{saved ? "saved" : ""}</span><span class="grow" /><button type="button" class="danger" onClick={() => setErasing(true)}>delete…</button></div>
      </form>
      {error && <Notice text={error} />}
      {erasing && <EraseApp app={app.app} close={() => setErasing(false)} erased={() => { setErasing(false); change({ show: undefined }); changed(); }} />}
    </section>
  );
}

function EraseApp({ app, close, erased }: { app: string; close: () => void; erased: () => void }) {
  const [word, setWord] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const erase = async () => {
    setBusy(true);
    try {
      await call("DELETE", `/v1/apps/${encodeURIComponent(app)}`, { params: { erase: "1" } });
      erased();
    } catch (e) {
      setError(messageOf(e));
      setBusy(false);
    }
  };
  return (
    <Dialog title={`Delete ${app}`} close={close} foot={<><button type="button" onClick={close}>Keep it</button><button type="button" class="danger" disabled={word !== app || busy} onClick={erase}>{busy ? "Deleting…" : "Delete with all its events"}</button></>}>
      <p>The application, its keys, and every event and rejection that it sent are removed. This cannot be undone.</p>
      <div class="field"><label for="erase-app">Type its name to confirm</label><input id="erase-app" value={word} autocomplete="off" onInput={(e) => setWord(e.currentTarget.value)} /></div>
      {error && <Notice text={error} />}
    </Dialog>
  );
}
