// The description of the API, with requests that can be tried. It shows /openapi.json of this server
// and no other document, keeps no keys, and asks no other host.
import { effect } from "@preact/signals";
import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";
import "swagger-ui-dist/swagger-ui.css";
import "./style/base.css";
import "./style/docs.css";
import { theme, watchTheme } from "./lib/theme.ts";

watchTheme();
effect(() => {
  document.documentElement.classList.toggle("dark-mode", theme.value === "dark");
});
SwaggerUI({
  domNode: document.getElementById("docs"),
  url: "/openapi.json",
  queryConfigEnabled: false,
  validatorUrl: null,
  persistAuthorization: false,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 2,
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: false,
  syntaxHighlight: { activated: true, theme: "nord" },
});
