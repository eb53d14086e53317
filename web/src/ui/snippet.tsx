import { useState } from "preact/hooks";
import { messageOf, post } from "../lib/api.ts";
import type { NewKey } from "../lib/model.ts";
import { isAdmin } from "../lib/state.ts";
import { Copy } from "./text.tsx";

const languages = ["curl", "JavaScript", "Go", "Python"] as const;

function code(language: (typeof languages)[number], base: string, key: string | undefined): string {
  const shell = key ?? "$EYE_KEY";
  switch (language) {
    case "curl":
      return `curl -s '${base}/v1/events?wait=stored' -H "Authorization: Bearer ${shell}" -H 'Content-Type: application/json' \\
  -d '{"session_id":"s1","category":"page interaction","name":"pageview","data":{"path":"/"},"timestamp":"${new Date().toISOString()}"}'`;
    case "JavaScript":
      return `<script src="${base}/eye.js" data-key="${shell}" data-autocapture></script>
<script>
  theeye.eye.track("page interaction", "pageview", { path: location.pathname });
</script>`;
    case "Go":
      return `client, err := theeye.New(theeye.Options{URL: "${base}", Key: ${key ? `"${key}"` : 'os.Getenv("EYE_KEY")'}})
if err != nil {
	log.Fatal(err)
}
err = client.Track(theeye.Event{
	SessionID: "s1", Category: "page interaction", Name: "pageview",
	Data: map[string]any{"path": "/"},
})`;
    case "Python":
      return `eye = theeye.Eye(url="${base}", key=${key ? `"${key}"` : 'os.environ["EYE_KEY"]'})
eye.track("page interaction", "pageview", {"path": "/"}, session_id="s1")
eye.close()`;
  }
}

/** Snippet shows how to send an event. An administrator can make a write key for it, shown once. */
export function Snippet({ app, secret }: { app?: string | undefined; secret?: string }) {
  const [language, setLanguage] = useState<(typeof languages)[number]>("curl");
  const [key, setKey] = useState<string | undefined>(secret);
  const [error, setError] = useState("");
  const text = code(language, location.origin, key);
  const make = async () => {
    try {
      setKey((await post<NewKey>(`/v1/apps/${encodeURIComponent(app!)}/keys`, { body: { kind: "write" } })).key);
      setError("");
    } catch (e) {
      setError(messageOf(e));
    }
  };
  return (
    <div class="stack-8">
      <div class="snippet">
        <div>
          <div class="tabs" role="tablist" aria-label="Language">
            {languages.map((l) => <button key={l} type="button" role="tab" aria-selected={l === language} onClick={() => setLanguage(l)}>{l}</button>)}
          </div>
          <Copy text={text} />
        </div>
        <pre tabIndex={0} role="tabpanel" aria-label={language}>{text}</pre>
      </div>
      {isAdmin.value && app && !key && <div class="row-flex wrap"><button type="button" class="tiny" onClick={make}>make a write key for this</button><span class="hint">for the application {app}; it is shown once</span></div>}
      {key && !secret && <p class="hint">The key is in the code above. It is shown only now: copy it before you leave.</p>}
      {error && <p class="bad" role="alert">{error}</p>}
    </div>
  );
}
