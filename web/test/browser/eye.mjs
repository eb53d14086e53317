// A server of The Eye for tests: EYE_BINARY, or the one that this repository builds.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** start runs a server until stop is called. */
export async function start(...flags) {
  const dir = mkdtempSync(join(tmpdir(), "eye-page-"));
  const child = spawn(binary(), ["serve", "--data", dir, "--listen", "127.0.0.1:0", ...flags], { stdio: ["ignore", "ignore", "pipe"] });
  await new Promise((resolve, reject) => {
    let log = "";
    child.stderr.on("data", (text) => (log += text).includes('"msg":"ready"') && resolve());
    child.on("exit", () => reject(new Error(`the server ended: ${log}`)));
  });
  const address = readFileSync(join(dir, "address"), "utf8").trim();
  const eye = new Eye(`http://${address}`, readFileSync(join(dir, "admin.key"), "utf8").trim());
  eye.stop = async () => {
    child.removeAllListeners("exit");
    child.kill("SIGKILL");
    await once(child, "exit");
    rmSync(dir, { recursive: true });
  };
  return eye;
}

function binary() {
  if (process.env.EYE_BINARY) return process.env.EYE_BINARY;
  const root = fileURLToPath(new URL("../../..", import.meta.url));
  const path = join(root, "web/build/eye");
  execFileSync("go", ["build", "-o", path, "./cmd/eye"], { cwd: root, stdio: "inherit" });
  return path;
}

class Eye {
  constructor(url, admin) {
    this.url = url;
    this.admin = admin;
  }

  async call(method, path, body, key = this.admin) {
    const answer = await fetch(this.url + path, {
      method,
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: typeof body === "string" ? body : body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok && answer.status !== 422) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  /** Makes an application, and returns a write key of it. */
  async app(app) {
    await this.call("POST", "/v1/apps", { app });
    return this.key(app, "write");
  }

  /** Makes a key of an application, or of all. */
  async key(app, kind) {
    return (await this.call("POST", app ? `/v1/apps/${app}/keys` : "/v1/keys", { kind })).key;
  }

  /** Sends events, and waits until they can be read. A text is sent as it is. */
  send(key, events) {
    return this.call("POST", "/v1/events?wait=stored", events, key);
  }

  /** Makes the address of a link that signs in once. */
  async link() {
    return this.url + (await this.call("POST", "/v1/logins/links")).path;
  }
}

/** event is an event of now, less some seconds. */
export function event(session, name, data = {}, more = {}) {
  const { ago = 0, ...rest } = more;
  return { session_id: session, category: "page interaction", name, data, timestamp: new Date(Date.now() - ago * 1000).toISOString(), ...rest };
}
