import type { Screen } from "./route.ts";

/** The screens in the order of the rail. */
export const screens: { screen: Screen; title: string; key: string; admin?: boolean; below?: boolean }[] = [
  { screen: "overview", title: "Overview", key: "o" },
  { screen: "live", title: "Live", key: "l" },
  { screen: "sessions", title: "Sessions", key: "s" },
  { screen: "events", title: "Events", key: "e" },
  { screen: "rejections", title: "Rejections", key: "r" },
  { screen: "types", title: "Types", key: "t" },
  { screen: "find", title: "Find", key: "f", below: true },
  { screen: "apps", title: "Apps", key: "a", admin: true, below: true },
  { screen: "audit", title: "Audit", key: "d", admin: true, below: true },
  { screen: "unreadable", title: "Unreadable", key: "u", admin: true, below: true },
];

/** part returns the screen of the rail to which a screen belongs. */
export function part(screen: Screen): Screen {
  return screen === "session" ? "sessions" : screen === "rejection" ? "rejections" : screen === "type" ? "types" : screen;
}
