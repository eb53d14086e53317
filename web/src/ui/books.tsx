import { exact } from "../lib/format.ts";
import { books, health } from "../lib/health.ts";
import type { Account } from "../lib/model.ts";
import { Skeleton } from "./state.tsx";

const fates = ["received", "stored", "rejected", "duplicate", "erased", "expired", "lost", "pending"] as const satisfies readonly (keyof Account)[];

/** BooksTable shows that every arrival has one fate. */
export function BooksTable() {
  const b = books.value;
  return (
    <>
      <p class={health.value.kind}>{health.value.text}</p>
      <p class="soft">Received is the sum of all that follows: every event that was acknowledged has one fate.</p>
      {!b ? <Skeleton lines={3} /> : (
        <div class="scroll-x" tabIndex={0} role="group" aria-label="Books">
          <table class="plain">
            <thead><tr><th>application</th>{fates.map((f) => <th key={f} class="num">{f}</th>)}<th>balanced</th></tr></thead>
            <tbody>{b.apps.map((a) => <tr key={a.app}><td class="tight">{a.app}</td>{fates.map((f) => <td key={f} class={`num ${f === "lost" && a.lost > 0 ? "bad" : ""}`}>{exact(a[f])}</td>)}<td class={a.balanced ? "good" : "bad"}>{a.balanced ? "yes" : "no"}</td></tr>)}</tbody>
          </table>
        </div>
      )}
    </>
  );
}
