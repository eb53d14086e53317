// The editor of schemas. It is loaded when somebody opens one. It lives in a shadow root, where its
// style sheets are adopted: the policy of the page allows no styles in the document.
import { autocompletion, closeBrackets, completionKeymap, type CompletionContext } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import { bracketMatching, foldGutter, foldKeymap, HighlightStyle, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { Compartment, EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

export type { Diagnostic };

export interface Editor {
  text: () => string;
  set: (text: string) => void;
  mark: (diagnostics: Diagnostic[]) => void;
  focus: () => void;
  close: () => void;
}

/** Keywords of the dialect, in the order in which they are offered. */
const keywords = [
  "type", "properties", "required", "additionalProperties", "enum", "const", "description", "title", "default", "examples",
  "minLength", "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
  "items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "propertyNames",
  "patternProperties", "dependentRequired", "dependentSchemas", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "$ref", "$defs", "$schema", "$comment",
];
const values = ["string", "number", "integer", "boolean", "object", "array", "null", "date-time", "date", "time", "email", "uri", "uuid", "ipv4", "ipv6", "hostname"];

function complete(context: CompletionContext) {
  const word = context.matchBefore(/"[$\w-]*/);
  if (!word) return null;
  const before = context.state.sliceDoc(Math.max(0, word.from - 60), word.from);
  const value = /:\s*\[?[^:{}]*$/.test(before) && !/[{,]\s*$/.test(before.replace(/\[[^\]]*$/, ""));
  const quote = context.state.sliceDoc(context.pos, context.pos + 1) === '"' ? "" : '"';
  return {
    from: word.from + 1,
    options: (value ? values : keywords).map((label) => ({ label, type: value ? "constant" : "property", apply: label + quote })),
    validFor: /^[$\w-]*$/,
  };
}

const look = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "var(--card)", height: "100%", fontSize: "12.5px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "20px" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--card)", color: "var(--soft)", border: "none" },
  ".cm-activeLine": { backgroundColor: "color-mix(in oklab, var(--sunk) 60%, transparent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--accent-soft)" },
  ".cm-tooltip": { backgroundColor: "var(--card)", color: "var(--text)", border: "1px solid var(--edge)", borderRadius: "6px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-foldPlaceholder": { backgroundColor: "var(--sunk)", color: "var(--soft)", border: "none" },
});

const colors = HighlightStyle.define([
  { tag: tags.propertyName, color: "var(--key)" },
  { tag: tags.string, color: "var(--str)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--num)" },
]);

/** open puts an editor into an element. change is called with each new text. */
export function open(host: HTMLElement, text: string, change: (text: string) => void, readOnly: boolean): Editor {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(":host { display: block; } .box { height: 100%; } .cm-editor { height: 100%; }");
  const box = document.createElement("div");
  box.className = "box";
  root.replaceChildren(box);
  const locked = new Compartment();
  const view = new EditorView({
    root,
    parent: box,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(), foldGutter(), history(), drawSelection(), indentOnInput(), bracketMatching(), closeBrackets(), highlightActiveLine(), lintGutter(),
        autocompletion({ override: [complete], icons: false }), json(), syntaxHighlighting(colors), look, EditorView.lineWrapping,
        keymap.of([...defaultKeymap, ...historyKeymap, ...foldKeymap, ...completionKeymap, ...lintKeymap]),
        EditorView.contentAttributes.of({ "aria-label": "Schema" }),
        locked.of([EditorState.readOnly.of(readOnly), EditorView.editable.of(true)]),
        EditorView.updateListener.of((u) => u.docChanged && change(u.state.doc.toString())),
      ],
    }),
  });
  root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
  return {
    text: () => view.state.doc.toString(),
    set: (next) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } }),
    mark: (diagnostics) => view.dispatch(setDiagnostics(view.state, diagnostics.map((d) => ({ ...d, from: Math.min(d.from, view.state.doc.length), to: Math.min(d.to, view.state.doc.length) })))),
    focus: () => view.focus(),
    close: () => view.destroy(),
  };
}
