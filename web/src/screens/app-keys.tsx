import { useState } from "preact/hooks";
import { call, get, messageOf, post } from "../lib/api.ts";
import { ago } from "../lib/format.ts";
import { useLoad } from "../lib/load.ts";
import type { Key, NewKey } from "../lib/model.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Snippet } from "../ui/snippet.tsx";
import { Notice, Skeleton } from "../ui/state.tsx";
import { Copy, Time } from "../ui/text.tsx";

/** Keys lists the keys of an application, or those for all, and makes and revokes them. */
export function Keys({ app }: { app: string | undefined }) {
  const at = app === undefined ? "/v1/keys" : `/v1/apps/${encodeURIComponent(app)}/keys`;
  const { data, error, again } = useLoad(at, (signal) => get<{ keys: Key[] }>(at, { signal }));
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<Key>();
  const now = Date.now();
  const ended = (k: Key) => k.revoked_at !== null || (k.expires_at !== null && Date.parse(k.expires_at) <= now);
  const keys = [...(data?.keys ?? [])].sort((a, b) => Number(ended(a)) - Number(ended(b)) || (a.created_at < b.created_at ? 1 : -1));
  return (
    <section class="stack-8" aria-label="Keys">
      <div class="row-flex"><h2 class="grow">Keys</h2><button type="button" class="tiny" onClick={() => setMaking(true)}>new key</button></div>
      {error && <Notice text={error} retry={again} />}
      {!data && !error && <Skeleton lines={3} height={40} />}
      <ul class="examples">
        {keys.map((k) => (
          <li key={k.key_id} class={`example ${ended(k) ? "soft" : ""}`}>
            <span class="row-flex wrap"><span class="strong">{k.kind}</span><span class="mono cut">{k.key_id}</span>{k.signing && <span class="tag">signed</span>}<span class="grow" />{k.revoked_at ? <span class="tag">revoked</span> : ended(k) ? <span class="tag">expired</span> : <button type="button" class="tiny danger" onClick={() => setRevoking(k)}>revoke</button>}</span>
            <span class="small soft">{k.last_used_at ? <>used <Time at={k.last_used_at}>{ago(k.last_used_at)}</Time></> : "never used"}, made <Time at={k.created_at} />{k.expires_at && !ended(k) && <>, until <Time at={k.expires_at} /></>}</span>
            {k.origins.length > 0 && <span class="small break">for {k.origins.join(", ")}</span>}
          </li>
        ))}
        {data && keys.length === 0 && <li class="soft">No keys.</li>}
      </ul>
      {making && <NewKeyDialog at={at} app={app} close={() => { setMaking(false); again(); }} />}
      {revoking && <Revoke at={at} of={revoking} close={() => { setRevoking(undefined); again(); }} />}
    </section>
  );
}

function NewKeyDialog({ at, app, close }: { at: string; app: string | undefined; close: () => void }) {
  const [kind, setKind] = useState(app === undefined ? "read" : "write");
  const [made, setMade] = useState<NewKey>();
  const [error, setError] = useState("");
  const make = async (e: SubmitEvent) => {
    e.preventDefault();
    const form = new FormData(e.currentTarget as HTMLFormElement);
    const origins = String(form.get("origins") ?? "").split(/[\s,]+/).filter(Boolean);
    const days = Number(form.get("days"));
    try {
      setMade(await post<NewKey>(at, { body: { kind, ...(origins.length ? { origins } : {}), ...(days ? { expires_at: new Date(Date.now() + days * 86_400_000).toISOString() } : {}) } }));
      setError("");
    } catch (err) {
      setError(messageOf(err));
    }
  };
  if (made) {
    return (
      <Dialog title="The new key" close={close} foot={<button type="button" class="primary" onClick={close}>I have copied it</button>}>
        <p>It is shown only now: the server keeps its hash alone.</p>
        <div class="row-flex secret"><code class="break grow" data-secret>{made.key}</code><Copy text={made.key} /></div>
        {made.kind === "write" && <Snippet app={app} secret={made.key} />}
      </Dialog>
    );
  }
  const kinds = app === undefined ? ["read", "admin"] : ["write", "read"];
  return (
    <Dialog title={app === undefined ? "New key for all applications" : `New key of ${app}`} close={close}>
      <form class="stack" onSubmit={make}>
        <div class="row-flex wrap" role="radiogroup" aria-label="Kind">{kinds.map((k) => <label key={k} class="row-flex"><input type="radio" name="kind" checked={kind === k} onChange={() => setKind(k)} />{k === "write" ? "write: sends events" : k === "read" ? "read: sees events" : "admin: may do everything"}</label>)}</div>
        {kind === "write" && <div class="field"><label for="origins">Only for web pages of</label><input id="origins" name="origins" placeholder="https://www.example.com" autocomplete="off" /><span class="hint">origins, separated by spaces; empty for servers and all pages</span></div>}
        <div class="field"><label for="days">Expires after days</label><input id="days" name="days" type="number" min="1" placeholder="never" /></div>
        {error && <Notice text={error} />}
        <div class="row-flex"><button type="submit" class="primary">Create</button><button type="button" onClick={close}>cancel</button></div>
      </form>
    </Dialog>
  );
}

function Revoke({ at, of, close }: { at: string; of: Key; close: () => void }) {
  const [error, setError] = useState("");
  const revoke = () => call("DELETE", `${at}/${encodeURIComponent(of.key_id)}`).then(close, (e: unknown) => setError(messageOf(e)));
  return (
    <Dialog title="Revoke this key" close={close} foot={<><button type="button" onClick={close}>Keep it</button><button type="button" class="danger" onClick={revoke}>Revoke</button></>}>
      <p>Whoever uses the {of.kind} key <span class="mono">{of.key_id}</span> is refused from now on{of.kind === "write" ? "" : ", and whoever signed in with it is signed out"}. {of.last_used_at ? <>It was used <Time at={of.last_used_at}>{ago(of.last_used_at)}</Time>.</> : "It was never used."}</p>
      {error && <Notice text={error} />}
    </Dialog>
  );
}
