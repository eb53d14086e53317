import { useEffect, useState } from "preact/hooks";
import { get } from "../lib/api.ts";
import type { Event } from "../lib/model.ts";
import { path } from "../lib/route.ts";
import { isAdmin, one, params, to } from "../lib/state.ts";
import { JsonTree } from "../ui/json-tree.tsx";
import { Snippet } from "../ui/snippet.tsx";
import { Text, Time } from "../ui/text.tsx";

/** FirstVisit leads to the first event, and shows it when it is there. */
export function FirstVisit() {
  const [event, setEvent] = useState<Event>();
  useEffect(() => {
    if (event) return;
    const ask = async () => {
      const answer = await get<{ events: Event[] }>("/v1/events", { params: { limit: "1", order: "desc" }, polling: true }).catch(() => undefined);
      if (answer?.events[0]) setEvent(answer.events[0]);
    };
    const timer = setInterval(() => document.visibilityState === "visible" && void ask(), 2000);
    return () => clearInterval(timer);
  }, [event]);
  return (
    <ol class="first-steps">
      <li class="card">
        <h2>Send an event</h2>
        <Snippet app={one.value ?? params.value.get("app") ?? (isAdmin.value ? "default" : undefined)} />
      </li>
      <li class="card">
        <h2>{event ? "Your first event is here" : "Waiting for the first event…"}</h2>
        {event ? <>
          <p><span class="strong"><Text text={event.name} /></span> of {event.app}, received <Time at={event.received_at} />.</p>
          <JsonTree text={event.data.text} root="/data" label="data" />
        </> : <p class="soft" aria-live="polite">It appears here as soon as it is stored.</p>}
      </li>
      <li class="card">
        <h2>Go on</h2>
        <p>{event ? <a href={to(path("sessions", event.session_id))}>Look at its session</a> : <span class="soft">Its session shows what one visitor did, in order.</span>}</p>
        <p class="soft">Rejected events are kept with their reasons. <a href="/docs">The API</a> is described by the server itself.</p>
      </li>
    </ol>
  );
}
