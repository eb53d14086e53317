import { defineConfig } from "vite";

// The server serves index.html at each address of the page, docs.html at /docs, and what is in assets under names that
// contain a hash. The policy of the page allows neither inline scripts nor inline styles.
export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../internal/ui/dist",
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // Three files change at different times: what comes from libraries, the page, and the editor,
    // which is loaded when somebody asks for it.
    rolldownOptions: {
      input: ["index.html", "docs.html"],
      output: {
        hashCharacters: "hex",
        entryFileNames: (chunk) => `assets/${chunk.name === "docs" ? "docs" : "page"}-[hash].js`,
        chunkFileNames: "assets/[name]-[hash].js",
        assetFileNames: "assets/[name]-[hash][extname]",
      },
    },
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8080", "/readyz": "http://127.0.0.1:8080" } },
});
