import { render } from "preact";
import { App } from "./app.tsx";
import { follow, learnLogin, watchWork } from "./lib/state.ts";
import { watchTheme } from "./lib/theme.ts";
import "./style/base.css";
import "./style/frame.css";
import "./style/parts.css";
import "./style/screens.css";

watchTheme();
follow();
watchWork();
void learnLogin();
render(<App />, document.getElementById("page")!);
