import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { Eye } from "theeye";

const eye = new Eye({ url: process.env.EYE_URL, key: process.env.EYE_KEY, onError: console.error });

/** visitor returns the session of a visitor: the one in the cookie that the script of the page sets. */
function visitor(request, response) {
  const found = /(?:^|; )theeye_session=([\w.-]+)(?:;|$)/.exec(request.headers.cookie ?? "");
  if (found) return found[1];
  const id = randomUUID();
  response.setHeader("Set-Cookie", `theeye_session=${id}; Path=/; Max-Age=1800; SameSite=Lax`);
  return id;
}

const server = createServer((request, response) => {
  const sessionId = visitor(request, response);
  const started = performance.now();
  response.on("finish", () => {
    const path = new URL(request.url, "http://localhost").pathname;
    eye.track("server", "request", {
      method: request.method, path, status: response.statusCode, ms: Math.round(performance.now() - started),
    }, { sessionId });
  });
  response.end("Hello\n");
});
server.listen(process.env.PORT ?? 3000, "127.0.0.1");

process.on("SIGTERM", async () => {
  server.close();
  process.exit((await eye.close({ timeout: 10_000 })) ? 0 : 1);
});
