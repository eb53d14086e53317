"use strict";

// Renders /openapi.json as a page: no library, nothing from elsewhere.

const methods = ["get", "post", "put", "patch", "delete"];
const accesses = {
  write: "write key", read: "read key or admin key", admin: "admin key",
  metrics: "admin key, or a read key of all applications",
};

function element(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) e.setAttribute(key, value);
  for (const child of children) if (child) e.append(child);
  return e;
}

// prose shows what stands between backquotes as code.
function prose(text) {
  return element("span", {}, ...text.split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part)));
}

// reference is the name of the shape that a schema is, or is a list of.
function reference(schema) {
  const ref = schema && (schema.$ref || (schema.items && schema.items.$ref));
  return ref ? ref.split("/").pop() : "";
}

function typeName(schema) {
  if (!schema) return "";
  if (schema.$ref) return reference(schema);
  if ([].concat(schema.type).includes("array")) return `list of ${typeName(schema.items)}`;
  if (schema.enum) return schema.enum.join(" | ");
  const name = [].concat(schema.type || "any").filter((t) => t !== "null").join(" or ");
  return schema.format ? `${name} (${schema.format})` : name;
}

function type(schema) {
  const name = reference(schema);
  return name ? element("a", { href: "#schema-" + name }, typeName(schema)) : element("span", {}, typeName(schema));
}

function table(head, rows) {
  if (!rows.length) return null;
  return element("table", {},
    element("thead", {}, element("tr", {}, ...head.map((h) => element("th", { scope: "col" }, h)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))))));
}

function requestBody(body) {
  if (!body) return null;
  const [media] = Object.values(body.content);
  return element("p", {}, "Body: ", type(media.schema), " as ", Object.keys(body.content).join(" or "));
}

// answers shows what differs; the errors of all operations look alike.
function answers(responses) {
  const own = [], errors = [];
  for (const [status, r] of Object.entries(responses)) {
    if (r.content && r.content["application/problem+json"]) errors.push(`${status} ${r.description}`);
    else own.push([element("code", {}, status), r.content ? type(Object.values(r.content)[0].schema) : "", prose(r.description)]);
  }
  return [
    table(["status", "body", "meaning"], own),
    errors.length ? element("p", {}, "Errors, as ", element("a", { href: "#schema-ProblemDetails" }, "ProblemDetails"), ": ", errors.join(", ")) : null,
  ];
}

function operation({ path, method, op }) {
  return element("article", { id: op.operationId },
    element("h3", {},
      element("span", { class: "method" }, method.toUpperCase()), element("code", {}, path),
      element("span", { class: "access" }, accesses[op["x-access"]] || "open")),
    element("p", {}, prose(op.summary + (op.description ? ". " + op.description : ""))),
    requestBody(op.requestBody),
    table(["parameter", "type", "meaning"], (op.parameters || []).map((p) => [
      element("code", {}, p.name), type(p.schema),
      prose([p.in === "query" ? "" : p.in, p.description].filter(Boolean).join(": "))])),
    ...answers(op.responses));
}

function shape([name, schema]) {
  return element("article", { id: "schema-" + name }, element("h3", {}, name),
    table(["field", "type", "meaning"], Object.entries(schema.properties || {}).map(([field, s]) =>
      [element("code", {}, field), type(s), prose(s.description || "")])));
}

// byTag returns the operations in the order of the document's tags.
function byTag(api) {
  const groups = new Map((api.tags || []).map((tag) => [tag.name, []]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of methods) {
      const op = item[method];
      if (!op) continue;
      const tag = op.tags[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push({ path, method, op });
    }
  }
  return groups;
}

function entry({ path, method, op }) {
  return element("li", {}, element("span", { class: "method" }, method.toUpperCase()),
    element("a", { href: "#" + op.operationId, title: op.summary }, element("code", {}, path)));
}

async function main() {
  const target = document.getElementById("operations");
  target.replaceChildren(element("p", {}, "Reading the document…"));
  let api;
  try {
    const answer = await fetch("/openapi.json");
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    api = await answer.json();
  } catch (error) {
    target.replaceChildren(element("p", { role: "alert" }, "The document could not be read: " + error));
    return;
  }
  document.getElementById("about").textContent = api.info.description;
  const index = document.getElementById("index");
  target.replaceChildren();
  for (const [tag, operations] of byTag(api)) {
    if (!operations.length) continue;
    index.append(element("section", {}, element("h2", {}, tag), element("ul", {}, ...operations.map(entry))));
    target.append(element("h2", {}, tag), ...operations.map(operation));
  }
  target.append(element("h2", {}, "shapes"), ...Object.entries(api.components.schemas).map(shape));
  // What a link points to was not there when the page was opened.
  const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (wanted) location.replace(location.hash);
}

main();
