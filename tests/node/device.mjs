// A device on the npm client `graphql-ws`: everything goes over one WebSocket at a time. It is driven by lines of JSON
// on stdin and answers in lines of JSON on stdout: push, edit, sync, watch, export.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { randomUUID } from "node:crypto";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [url, token] = process.argv.slice(2);
const dataset = { name: "countries" };
const RECORDS = "records { key value deleted version }";
const SYNC = `mutation ($input: SyncInput!) { sync(input: $input) { __typename
  ... on SyncApplied { checkpoint hasMore results { key status } ${RECORDS} } } }`;
const PULL = `query ($dataset: DatasetRef!, $since: Checkpoint!) { changes(dataset: $dataset, since: $since) {
  __typename ... on ChangePage { checkpoint hasMore ${RECORDS} } } }`;
const CHANGES = `subscription ($dataset: DatasetRef!, $since: Checkpoint) {
  datasetChanges(dataset: $dataset, since: $since) { __typename
    ... on Ready { resumed } ... on Commit { previous checkpoint ${RECORDS} } } }`;

const records = new Map();
let checkpoint = "start";
let changes = [];

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const later = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const connected = () =>
  createClient({ url, webSocketImpl: WebSocket, connectionParams: { authorization: `Bearer ${token}` }, retryAttempts: 0 });

function takeIn(page) {
  for (const record of page.records) records.set(record.key, record);
  checkpoint = page.checkpoint;
}

// One answer, over as many connections as it takes. Asking again is safe: a push keeps its mutationId.
async function ask(query, variables) {
  for (;;) {
    const client = connected();
    try {
      for await (const answer of client.iterate({ query, variables })) {
        if (answer.errors) throw new Error(JSON.stringify(answer.errors));
        return Object.values(answer.data)[0];
      }
    } catch (error) {
      if (error instanceof Error) throw error;
    } finally {
      await client.dispose();
    }
    await later(50 * Math.random());
  }
}

async function synchronize() {
  if (changes.length > 0) {
    const input = { dataset, since: checkpoint, mutationId: randomUUID(), changes, atomic: true };
    const answer = await ask(SYNC, { input });
    if (answer.__typename !== "SyncApplied") throw new Error(answer.__typename);
    takeIn(answer);
    changes = [];
  }
  for (let more = true; more; ) {
    const page = await ask(PULL, { dataset, since: checkpoint });
    if (page.__typename !== "ChangePage") throw new Error(page.__typename);
    takeIn(page);
    more = page.hasMore;
  }
}

function put(key, value) {
  const held = records.get(key);
  changes.push({ put: { key, value, base: held ? { version: held.version } : { absent: true } } });
}

async function watch() {
  for (;;) {
    const client = connected();
    const fromStart = checkpoint === "start";
    let first = true;
    try {
      for await (const answer of client.iterate({ query: CHANGES, variables: { dataset, since: checkpoint } })) {
        if (answer.errors) throw new Error(JSON.stringify(answer.errors));
        const event = answer.data.datasetChanges;
        if (event.__typename === "Ready") say({ ready: true });
        if (event.__typename !== "Commit") continue;
        if (event.previous !== checkpoint && !(fromStart && first)) throw new Error("a commit that does not follow");
        first = false;
        takeIn(event);
        for (const record of event.records) say({ key: record.key, value: record.value });
      }
    } catch (error) {
      if (error instanceof Error) throw error;
    } finally {
      await client.dispose();
    }
    await later(50 * Math.random());
  }
}

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
}

const commands = {
  async push({ file }) {
    for (const [key, value] of Object.entries(JSON.parse(readFileSync(file, "utf8")))) put(key, value);
    await synchronize();
    say({ done: "push" });
  },
  async edit({ key, value }) {
    put(key, value);
    say({ done: "edit" });
  },
  async sync() {
    await synchronize();
    say({ done: "sync" });
  },
  async watch() {
    await watch();
  },
  async export() {
    const live = [...records.values()].filter((record) => !record.deleted);
    say({ done: "export", text: canonical(Object.fromEntries(live.map(({ key, value }) => [key, value]))) });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  commands[command.do](command).catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  });
}
process.exit(0);
