// Runs every audit of `graphql-http` against the server at the URL given, and prints the outcomes as JSON.
import { auditServer } from "graphql-http";

const url = process.argv[2];
const results = await auditServer({ url, fetchFn: fetch });
const outcomes = [];
for (const result of results) {
  const { id, name, status } = result;
  const reason = status === "ok" ? null : result.reason;
  if (result.response?.body && !result.response.bodyUsed) await result.response.body.cancel();
  outcomes.push({ id, name, status, reason });
}
console.log(JSON.stringify(outcomes));
