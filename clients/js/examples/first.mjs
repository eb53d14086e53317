import { Eye } from "theeye";

const eye = new Eye({
  url: process.env.EYE_URL,
  key: process.env.EYE_KEY,
  onError: (error) => console.error(error.code, error.message, error.events),
  onRejected: (rejection) => console.error(rejection.id, rejection.problems),
});

eye.track("page interaction", "pageview", { path: "/" }, { sessionId: "a7" });
await eye.close();
