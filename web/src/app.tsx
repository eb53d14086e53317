import { useEffect, useLayoutEffect } from "preact/hooks";
import { forget } from "./lib/health.ts";
import { safeReturn } from "./lib/route.ts";
import { current, go, isAdmin, login, stillIn, to, url } from "./lib/state.ts";
import { Apps } from "./screens/apps.tsx";
import { Audit } from "./screens/audit.tsx";
import { Events } from "./screens/events.tsx";
import { Find } from "./screens/find.tsx";
import { Live } from "./screens/live.tsx";
import { Unreadable } from "./screens/unreadable.tsx";
import { RejectionScreen } from "./screens/rejection.tsx";
import { Rejections } from "./screens/rejections.tsx";
import { Overview } from "./screens/overview.tsx";
import { SessionScreen } from "./screens/session.tsx";
import { Sessions } from "./screens/sessions.tsx";
import { SignIn } from "./screens/signin.tsx";
import { TypeScreen } from "./screens/type.tsx";
import { Types } from "./screens/types.tsx";
import { Frame } from "./ui/frame.tsx";
import { Empty } from "./ui/state.tsx";
import { asked } from "./ui/topbar.tsx";

/** App shows the screen of the address, or the sign-in, which leads back to it. */
export function App() {
  const who = login.value;
  const at = current.value;
  const signingIn = at.screen === "signin";
  const root = url.value.pathname === "/";
  useEffect(() => {
    if (who === null && !signingIn) {
      const here = url.value.pathname + url.value.search;
      go(root ? "/signin" : `/signin?${new URLSearchParams({ to: here })}`, true);
    } else if (who && root) go(to("/overview"), true);
  }, [who, signingIn, root]);
  // Another login must not see what this one has looked for. This comes before the frame asks anew.
  useLayoutEffect(() => {
    asked.value = "";
    stillIn.value = "";
    forget();
  }, [who?.login_id]);
  if (signingIn) return <SignIn signedIn={(back) => go(safeReturn(back), true)} />;
  if (!who || root) return null;
  return <Frame><Shown key={url.value.pathname} /></Frame>;
}

function Shown() {
  const at = current.value;
  switch (at.screen) {
    case "overview": return <Overview />;
    case "events": return <Events />;
    case "sessions": return <Sessions />;
    case "session": return <SessionScreen id={at.id!} />;
    case "rejections": return <Rejections />;
    case "rejection": return <RejectionScreen id={at.id!} />;
    case "types": return <Types />;
    case "type": return <TypeScreen category={at.category!} name={at.name!} />;
    case "live": return <Live />;
    case "find": return <Find />;
    case "apps": return isAdmin.value ? <Apps /> : <NotAllowed />;
    case "audit": return isAdmin.value ? <Audit /> : <NotAllowed />;
    case "unreadable": return isAdmin.value ? <Unreadable /> : <NotAllowed />;
    default: return <NotFound />;
  }
}

function NotAllowed() {
  return <div class="screen"><Empty title="This needs an admin key">You are signed in with a read key. Sign out, and sign in with an admin key.</Empty></div>;
}

function NotFound() {
  return (
    <div class="screen">
      <Empty title="There is nothing at this address">
        <p>The address may be incomplete. <a href="/overview">Go to the overview</a></p>
      </Empty>
    </div>
  );
}
