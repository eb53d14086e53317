// A server of The Eye for tests: EYE_BINARY, or the one that this repository builds.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { createServer, request as forward } from "node:http";
import { fileURLToPath } from "node:url";

/** start runs a server behind a proxy that notes requests, until stop is called. */
export async function start() {
  const dir = mkdtempSync(join(tmpdir(), "eye-js-"));
  const child = spawn(binary(), ["serve", "--data", dir, "--listen", "127.0.0.1:0"], { stdio: ["ignore", "ignore", "pipe"] });
  await new Promise((resolve, reject) => {
    let log = "";
    child.stderr.on("data", (text) => (log += text).includes('"msg":"ready"') && resolve());
    child.on("exit", () => reject(new Error(`the server ended: ${log}`)));
  });
  const address = readFileSync(join(dir, "address"), "utf8").trim();
  const admin = readFileSync(join(dir, "admin.key"), "utf8").trim();
  const eye = new Server(`http://${address}`, admin);
  const proxy = createServer((request, response) => {
    const { url: path, method, headers } = request;
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      eye.requests.push({ path, headers, body: body.toString() });
      const onward = forward(eye.address + path, { method, headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      onward.on("error", () => response.destroy());
      onward.end(body);
    });
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  eye.url = `http://127.0.0.1:${proxy.address().port}`;
  eye.stop = async () => {
    proxy.close();
    proxy.closeAllConnections();
    child.removeAllListeners("exit");
    child.kill("SIGKILL");
    await once(child, "exit");
    rmSync(dir, { recursive: true });
  };
  return eye;
}

function binary() {
  if (process.env.EYE_BINARY) return process.env.EYE_BINARY;
  const root = fileURLToPath(new URL("../../../..", import.meta.url));
  const path = join(root, "clients/js/build/eye");
  execFileSync("go", ["build", "-o", path, "./cmd/eye"], { cwd: root, stdio: "inherit" });
  return path;
}

class Server {
  url; // of the proxy
  requests = []; // {path, headers, body} of each request through the proxy

  constructor(address, admin) {
    this.address = address;
    this.admin = admin;
  }

  async #call(method, path, body) {
    const answer = await fetch(this.address + path, {
      method,
      headers: { authorization: `Bearer ${this.admin}`, "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** Makes a write key for pages of some origins. */
  async key(...origins) {
    return (await this.#call("POST", "/v1/apps/default/keys", { kind: "write", origins })).key;
  }

  /** Returns the events of a session in its order. */
  async session(id) {
    const found = [];
    for (let cursor = ""; cursor !== undefined; ) {
      const page = await this.#call("GET", `/v1/sessions/${encodeURIComponent(id)}?limit=1000${cursor && `&cursor=${cursor}`}`).catch(() => ({ events: [] }));
      found.push(...page.events);
      cursor = page.next_cursor ?? undefined;
    }
    return found;
  }
}
