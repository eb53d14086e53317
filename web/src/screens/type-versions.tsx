import { useState } from "preact/hooks";
import { get, messageOf } from "../lib/api.ts";
import { exact, plural } from "../lib/format.ts";
import { useLoad } from "../lib/load.ts";
import type { TypeVersion } from "../lib/model.ts";
import type { DraftState } from "../lib/use-draft.ts";
import { Dialog } from "../ui/dialog.tsx";
import { SideBySide } from "../ui/side-by-side.tsx";
import { Notice } from "../ui/state.tsx";
import { Text, Time } from "../ui/text.tsx";

/** Versions lists the versions of a type, with what each has changed. */
export function Versions({ at, version }: { at: string; version: number | undefined }) {
  const { data } = useLoad(version === undefined ? undefined : `${at} ${version}`, (signal) => get<{ versions: TypeVersion[] }>(`${at}/versions`, { signal }));
  const [open, setOpen] = useState<number>();
  const all = [...(data?.versions ?? [])].sort((a, b) => b.version - a.version);
  if (all.length === 0) return null;
  return (
    <section class="card" aria-label="Versions">
      <header><h2>Versions</h2></header>
      <ul class="versions">
        {all.map((v, i) => (
          <li key={v.version}>
            <div class="row-flex wrap">
              <span class="strong">version {v.version}</span><Time at={v.created_at} />{v.author && <span class="soft mono">{v.author}</span>}{v.deleted_at && <span class="tag late">deleted</span>}
              <span class="grow" />
              {all[i + 1] && <button type="button" class="tiny" aria-expanded={open === v.version} onClick={() => setOpen(open === v.version ? undefined : v.version)}>what changed</button>}
            </div>
            {open === v.version && all[i + 1] && <SideBySide before={all[i + 1]!.schema.text} after={v.schema.text} names={[`version ${all[i + 1]!.version}`, `version ${v.version}`]} />}
          </li>
        ))}
      </ul>
    </section>
  );
}

interface PublishProps { draft: DraftState; before: string; after: string; publish: (force: boolean) => Promise<void>; close: () => void }

/** PublishDialog shows the verdict on a draft before it is in force. */
export function PublishDialog({ draft: d, before, after, publish, close }: PublishProps) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  // Without the comparison nothing is known of the draft, and it is not published.
  const known = d.tried !== undefined && !d.busy;
  const breaking = d.reasons.length > 0;
  const fails = d.tried?.stored.would_fail ?? 0;
  const go = async () => {
    setBusy(true);
    try {
      await publish(breaking);
    } catch (e) {
      setError(messageOf(e));
      setBusy(false);
    }
  };
  return (
    <Dialog title="Publish this version" close={close} foot={<><button type="button" onClick={close}>cancel</button><button type="button" class={breaking ? "danger" : "primary"} disabled={busy || !known} onClick={go}>{breaking ? "publish all the same" : "publish"}</button></>}>
      {error && <Notice text={error} />}
      {!known && d.busy && <p class="soft">Comparing with the version in force…</p>}
      {!known && !d.busy && <Notice kind="late" text={`Whether the draft is compatible is not known. ${d.error ?? ""}`} retry={d.again} />}
      {known && !breaking && before !== "" && <p><span class="good strong">Compatible:</span> whatever the version in force accepts, this one accepts too.</p>}
      {breaking && <>
        <p class="late strong">Not compatible with the version in force:</p>
        <ul class="stack-8">{d.reasons.map((r) => <li key={r.pointer + r.reason}><span class="mono break">{r.pointer || "the schema"}</span>: <Text text={r.reason} most={300} /></li>)}</ul>
      </>}
      {d.tried && <p>Of the newest {plural(d.tried.stored.checked, "stored event")}, {fails === 0 ? "none would be rejected" : <span class="bad strong">{exact(fails)} would be rejected</span>}. Of {plural(d.tried.rejected.checked, "rejected event")}, {exact(d.tried.rejected.would_pass)} would be stored.</p>}
      {before !== "" && <SideBySide before={before} after={after} names={["in force", "draft"]} />}
    </Dialog>
  );
}
