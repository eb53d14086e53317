import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, messageOf, post } from "../lib/api.ts";
import type { Login } from "../lib/model.ts";
import { login, params } from "../lib/state.ts";
import { Notice } from "../ui/state.tsx";

/** takeLink takes the token of a one-time link from the address, in which it must not remain. */
function takeLink(): string | undefined {
  const link = new URLSearchParams(location.hash.slice(1)).get("link");
  if (link === null) return undefined;
  history.replaceState(null, "", location.pathname + location.search);
  return link || undefined;
}

/** SignIn asks for a key, or uses the link that led here. */
export function SignIn({ signedIn }: { signedIn: (back: string | null) => void }) {
  const link = useRef<string>(undefined);
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const who = login.value;

  const signIn = async (body: { key: string } | { link: string }) => {
    setBusy(true);
    setError("");
    if ("key" in body) link.current = undefined;
    try {
      login.value = await post<Login>("/v1/logins", { body });
      signedIn(params.peek().get("to"));
    } catch (e) {
      // A link that did not get through may still be good.
      const again = "link" in body && e instanceof ApiError && (e.status === 0 || e.status === 429 || e.status >= 500);
      if (again) link.current = body.link;
      else setAsking(false);
      setError(messageOf(e));
      setBusy(false);
    }
  };

  const useLink = () => {
    const token = link.current!;
    link.current = undefined;
    void signIn({ link: token });
  };

  useEffect(() => {
    document.title = "Sign in · The Eye";
    link.current ??= takeLink();
    // A link that is pasted into this tab changes the fragment alone.
    const reload = () => location.hash.startsWith("#link=") && location.reload();
    addEventListener("hashchange", reload);
    return () => removeEventListener("hashchange", reload);
  }, []);
  useEffect(() => {
    if (who === undefined || busy) return;
    link.current ??= takeLink();
    const token = link.current;
    if (token && who) setAsking(true);
    else if (token) useLink();
    else if (who && !asking) signedIn(params.peek().get("to"));
  }, [who]);

  return (
    <main class="signin">
      <div class="card">
        <div class="signin-brand"><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M2 12s3.6-7 10-7 10 7 10 7-3.6 7-10 7S2 12 2 12Z" fill="none" stroke="var(--accent)" stroke-width="2" /><circle cx="12" cy="12" r="3.5" fill="var(--accent)" /></svg><h1>The Eye</h1></div>
        {error && <Notice text={error} {...(link.current && !asking ? { retry: useLink } : {})} />}
        {asking && who ? (
          <div class="stack">
            <p>You are signed in with {who.kind === "admin" ? "an admin key" : "a read key"} already. The link signs you in with another one.</p>
            <div class="row-flex">
              <button type="button" class="primary" onClick={useLink}>Use the link</button>
              <button type="button" onClick={() => { link.current = undefined; signedIn(params.peek().get("to")); }}>Stay signed in</button>
            </div>
          </div>
        ) : (
          <form class="stack" onSubmit={(e) => {
            e.preventDefault();
            const key = (e.currentTarget.elements.namedItem("key") as HTMLInputElement).value.trim();
            if (key) void signIn({ key });
          }}>
            <div class="field">
              <label for="key">Key</label>
              <input id="key" name="key" type="password" autocomplete="off" spellcheck={false} required placeholder="eye_r_… or eye_a_…" aria-describedby="key-hint" />
              <span id="key-hint" class="hint">A read key or an admin key. The server printed them when it was started for the first time; <code>eye open</code> on its machine makes a link that signs you in.</span>
            </div>
            <button type="submit" class="primary" disabled={busy}>{busy ? "Signing in…" : "Sign in"}</button>
          </form>
        )}
      </div>
    </main>
  );
}
