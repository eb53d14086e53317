// Sends the three forms of a body with types that openapi-typescript has generated into eye.d.ts.
import createClient from "openapi-fetch";
import type { components, paths } from "./eye.d.ts";

const [url, key] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${key}` } });

const event = (name: string): components["schemas"]["SentEvent"] => ({
  session_id: "ts", category: "page interaction", name,
  data: { path: "/" }, timestamp: "2026-01-01T09:15:27Z",
});

const bodies: Record<string, components["schemas"]["SentEvents"]> = {
  event: event("one"),
  list: [event("two"), event("three")],
  envelope: { events: [event("four"), event("five")] },
};

for (const [name, body] of Object.entries(bodies)) {
  const { data, error, response } = await client.POST("/v1/events", { params: { query: { wait: "stored" } }, body });
  if (!data) throw new Error(`${name}: ${response.status}: ${JSON.stringify(error)}`);
  console.log(name, data.accepted);
}
