import { useEffect, useRef, useState } from "preact/hooks";
import { call, get, messageOf, post } from "../lib/api.ts";
import { exact, plural } from "../lib/format.ts";
import type { Replay } from "../lib/model.ts";
import { path } from "../lib/route.ts";
import { to } from "../lib/state.ts";
import { Dialog } from "../ui/dialog.tsx";
import { inWords } from "../ui/sentence.tsx";
import { SideBySide } from "../ui/side-by-side.tsx";
import { Notice, Skeleton } from "../ui/state.tsx";
import { Text } from "../ui/text.tsx";

export type Filter = Record<string, string>;
interface Props {
  filter: Filter;
  /** The group to which a single event belongs. */
  group?: Filter;
  title: string;
  /** The session to look at afterwards. */
  session?: string;
  close: () => void;
}

/** ReplayDialog validates rejections again: first a dry run, then, if one wants, for good. */
export function ReplayDialog({ filter, group, title, session, close }: Props) {
  const [whole, setWhole] = useState(group !== undefined);
  const [patch, setPatch] = useState("");
  const [dry, setDry] = useState<Replay>();
  const [tried, setTried] = useState(""); // what dry is the answer to
  const [real, setReal] = useState<Replay>();
  const [error, setError] = useState("");
  const question = JSON.stringify([whole, patch.trim()]);
  const trial = dry && tried === question ? dry : undefined;
  const asking = useRef<AbortController>(undefined);

  const begin = async (dryRun: boolean) => {
    setError("");
    asking.current?.abort();
    const { signal } = (asking.current = new AbortController());
    try {
      const body: Record<string, unknown> = { filter: whole && group ? group : filter, dry_run: dryRun };
      if (patch.trim()) body["patch"] = JSON.parse(patch);
      const r = await post<Replay>("/v1/rejections/replay", { body, ...(dryRun ? { signal } : {}) });
      if (!dryRun) return setReal(r);
      if (signal.aborted) return;
      setTried(question);
      setDry(r);
    } catch (e) {
      if (!signal.aborted) setError(e instanceof SyntaxError ? "The patch is not JSON." : messageOf(e));
    }
  };
  useEffect(() => {
    setDry(undefined);
    void begin(true);
  }, [whole]);
  useFollow(dry, setDry, setError);
  useFollow(real, setReal, setError);

  const foot = real
    ? real.state === "running"
      ? <button type="button" onClick={() => void call<Replay>("DELETE", `/v1/replays/${real.replay_id}`).then(setReal, (e: unknown) => setError(messageOf(e)))}>stop</button>
      : <>{session && <a class="button" href={to(path("sessions", session))}>show the session</a>}<button type="button" class="primary" onClick={close}>done</button></>
    : <><button type="button" onClick={close}>cancel</button><button type="button" class="primary" disabled={!trial || trial.state === "running" || trial.would_pass === 0} onClick={() => void begin(false)}>{trial && trial.state !== "running" && trial.would_pass > 0 ? `replay ${exact(trial.would_pass)}` : "replay"}</button></>;
  return (
    <Dialog title="Replay" close={close} foot={foot}>
      {title && <p class="soft break"><Text text={title} most={200} /></p>}
      {error && <Notice text={error} retry={() => void begin(!real)} />}
      {real ? <Result replay={real} /> : <>
        {group && (
          <div class="row-flex wrap" role="radiogroup" aria-label="What to replay">
            <label class="row-flex"><input type="radio" name="what" checked={whole} onChange={() => setWhole(true)} />all events with this problem</label>
            <label class="row-flex"><input type="radio" name="what" checked={!whole} onChange={() => setWhole(false)} />only this event</label>
          </div>
        )}
        {!dry && !error && <Skeleton lines={3} height={24} />}
        {trial && <DryRun replay={trial} />}
        {dry && !trial && <p class="soft">The patch has changed: try it before you replay.</p>}
        <details>
          <summary>Change the events first</summary>
          <div class="stack-8 patch">
            <label for="patch">JSON Patch for each body</label>
            <textarea id="patch" class="mono" rows={4} spellcheck={false} placeholder='[{"op":"add","path":"/data/host","value":"www.example.com"}]' value={patch} onInput={(e) => setPatch(e.currentTarget.value)} />
            <div><button type="button" class="tiny" onClick={() => { setDry(undefined); void begin(true); }}>try the patch</button></div>
          </div>
        </details>
      </>}
    </Dialog>
  );
}

/** useFollow asks for a replay until it has ended. */
function useFollow(replay: Replay | undefined, set: (r: Replay) => void, setError: (text: string) => void): void {
  const running = replay && (replay.state ?? "running") === "running";
  useEffect(() => {
    if (!running) return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      get<Replay>(`/v1/replays/${replay.replay_id}`, { signal: abort.signal }).then(set, (e: unknown) => abort.signal.aborted || setError(messageOf(e)));
    }, 300);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [replay]);
}

function DryRun({ replay: r }: { replay: Replay }) {
  const changed = r.examples?.find((e) => e.before !== e.after);
  return (
    <div class="stack-8" aria-live="polite">
      {r.state === "running" ? <p>Trying… {exact(r.matched)} so far</p> : (
        <p>Of {plural(r.matched, "rejected event")}, <span class="good strong">{exact(r.would_pass)} would be stored</span> and <span class={r.would_fail ? "bad strong" : ""}>{exact(r.would_fail)} would still be rejected</span>.</p>
      )}
      {r.state === "failed" && r.error && <Notice text={r.error} />}
      {r.matched > 0 && r.state !== "running" && r.would_pass === 0 && <p class="soft">The rules that refused these events are still in force. Change the type first, or change the events with a patch.</p>}
      <Left replay={r} />
      {changed && <SideBySide before={changed.before} after={changed.after} names={["as sent", "as it would be stored"]} />}
    </div>
  );
}

function Left({ replay: r }: { replay: Replay }) {
  if (!r.left || r.left.length === 0) return null;
  return (
    <ul class="stack-8">
      {r.left.slice(0, 5).map((l) => <li key={l.code + l.pointer}><span class="bad">{exact(l.count)}</span> {inWords(l.code)}{l.pointer && <> at <span class="mono break"><Text text={l.pointer} most={100} /></span></>}</li>)}
    </ul>
  );
}

function Result({ replay: r }: { replay: Replay }) {
  const share = r.matched === 0 ? 1 : r.done / r.matched;
  const rest: [number, string][] = [[r.duplicates, "were stored already"], [r.still_rejected, "are still rejected"], [r.erased, "belong to erased data"], [r.expired, "are older than the retention"]];
  return (
    <div class="stack" aria-live="polite">
      {r.state === "running" && <div class="bar meter" role="progressbar" aria-label="Replay" aria-valuenow={Math.round(share * 100)}><i style={{ width: `${share * 100}%` }} /></div>}
      <p class="replayed">{r.state === "running" ? `${exact(r.done)} of ${exact(r.matched)}` : <><span class="good strong">{plural(r.stored, "event")} replayed</span>{r.state !== "done" && `: ${r.state}`}</>}</p>
      {rest.some(([n]) => n > 0) && <ul>{rest.filter(([n]) => n > 0).map(([n, text]) => <li key={text}>{exact(n)} {text}</li>)}</ul>}
      {r.error && <Notice text={r.error} kind="late" />}
      <Left replay={r} />
    </div>
  );
}
