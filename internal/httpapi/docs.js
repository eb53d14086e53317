"use strict";

// Renders /openapi.json as a page: no library, nothing from elsewhere.

function element(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) e.setAttribute(key, value);
  for (const child of children) if (child !== null) e.append(child);
  return e;
}

function typeName(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.type === "array" || (Array.isArray(schema.type) && schema.type.includes("array"))) return `list of ${typeName(schema.items)}`;
  if (schema.enum) return schema.enum.join(" | ");
  return [].concat(schema.type || "any").join(" or ") + (schema.format ? ` (${schema.format})` : "");
}

function table(head, rows) {
  if (!rows.length) return null;
  return element("table", {},
    element("thead", {}, element("tr", {}, ...head.map((h) => element("th", { scope: "col" }, h)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))))));
}

function link(schema) {
  const name = typeName(schema);
  const ref = schema && (schema.$ref || (schema.items && schema.items.$ref));
  return ref ? element("a", { href: "#schema-" + ref.split("/").pop() }, name) : element("code", {}, name);
}

function operation(path, method, op) {
  const section = element("section", { class: "operation", id: op.operationId },
    element("h3", {},
      element("span", { class: "method" }, method.toUpperCase()), element("code", {}, path),
      element("span", { class: "access" }, op["x-access"] ? op["x-access"] + " key" : "open")),
    element("p", {}, op.summary + (op.description ? ". " + op.description : "")));
  const parameters = table(["parameter", "in", "type", "meaning"], (op.parameters || []).map((p) =>
    [element("code", {}, p.name + (p.required ? " *" : "")), p.in, typeName(p.schema), p.description || ""]));
  if (parameters) section.append(parameters);
  if (op.requestBody) {
    const [type, media] = Object.entries(op.requestBody.content)[0];
    section.append(element("p", {}, "Body, ", element("code", {}, type), ": ", link(media.schema)));
  }
  section.append(table(["status", "answer", "body"], Object.entries(op.responses).map(([status, r]) =>
    [status, r.description, r.content ? link(Object.values(r.content)[0].schema) : ""])));
  return section;
}

async function main() {
  const target = document.getElementById("operations");
  let api;
  try {
    api = await (await fetch("/openapi.json")).json();
  } catch (error) {
    target.replaceChildren(element("p", { role: "alert" }, "The document could not be read: " + error));
    return;
  }
  document.getElementById("about").textContent = api.info.description;
  const byTag = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of ["get", "post", "put", "patch", "delete"]) {
      if (!item[method]) continue;
      const tag = item[method].tags[0];
      if (!byTag.has(tag)) byTag.set(tag, []);
      byTag.get(tag).push([path, method, item[method]]);
    }
  }
  const list = element("ul");
  target.replaceChildren();
  for (const [tag, operations] of byTag) {
    target.append(element("h2", {}, tag));
    for (const [path, method, op] of operations) {
      target.append(operation(path, method, op));
      list.append(element("li", {}, element("a", { href: "#" + op.operationId }, op.summary)));
    }
  }
  document.getElementById("index").append(list);
  target.append(element("h2", {}, "shapes"));
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    const section = element("section", { class: "operation", id: "schema-" + name }, element("h3", {}, name));
    const fields = table(["field", "type", "meaning"], Object.entries(schema.properties || {}).map(([field, s]) =>
      [element("code", {}, field), link(s), s.description || ""]));
    if (fields) section.append(fields);
    target.append(section);
  }
}

main();
