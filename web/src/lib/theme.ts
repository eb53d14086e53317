import { signal } from "@preact/signals";

export type Theme = "light" | "dark";
const key = "eye-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

const chosen = signal<Theme | undefined>(stored());
/** theme is what is shown: the reader's choice, else that of the system. */
export const theme = signal<Theme>(chosen.value ?? (system.matches ? "dark" : "light"));
export const narrow = signal(matchMedia("(max-width: 760px)").matches);

function stored(): Theme | undefined {
  try {
    const value = localStorage.getItem(key);
    return value === "light" || value === "dark" ? value : undefined;
  } catch {
    return undefined; // the browser allows no storage
  }
}

function apply(): void {
  theme.value = chosen.value ?? (system.matches ? "dark" : "light");
  document.documentElement.dataset["theme"] = theme.value;
}

export function watchTheme(): void {
  apply();
  system.addEventListener("change", apply);
  matchMedia("(max-width: 760px)").addEventListener("change", (e) => (narrow.value = e.matches));
}

export function toggleTheme(): void {
  chosen.value = theme.value === "dark" ? "light" : "dark";
  try {
    localStorage.setItem(key, chosen.value);
  } catch {
    // It lasts until the page is closed.
  }
  apply();
}
