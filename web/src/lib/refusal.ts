const refusals: Record<string, string> = {
  no_key: "without a key", unknown_key: "with an unknown key", revoked_key: "with a revoked key", expired_key: "with an expired key", key_not_valid: "with a key that is not valid",
  bad_signature: "with a wrong signature", wrong_kind: "with a key of the wrong kind", wrong_origin: "from an origin that its key does not allow", not_allowed: "without permission",
  over_rate: "faster than its rate allows", bad_request: "something that could not be read",
};

/** refusal says in words what happened to requests. */
export function refusal(reason: string): string {
  return refusals[reason] ?? reason.replaceAll("_", " ");
}
