/** An operation that GraphiQL opens in a tab of its own, named for the operation. */
export interface Example {
  query: string;
  variables?: Record<string, unknown>;
}

const record = `key
        value
        deleted
        version`;

export const examples: readonly Example[] = [
  {
    query: `# Who am I, as the token says, and how much may I keep?
query Viewer {
  viewer {
    identityId
    deviceId
    guest
    usage {
      datasets
      sizeBytes
    }
    limits {
      datasets
      datasetBytes
      records
      keyBytes
      changesPerSync
    }
  }
}
`,
  },
  {
    query: `# Push and pull in one atomic step. The dataset is created if
# there is none of this name yet.
#
# Change mutationId for each new sync: a repeated one with the
# same changes gives the first outcome again, and with other
# changes it is an error. So a device can safely retry what it
# got no answer to.
mutation Sync($input: SyncInput!) {
  sync(input: $input) {
    __typename
    ... on SyncApplied {
      checkpoint
      results {
        key
        status
        code
      }
      records {
        ${record}
      }
      hasMore
    }
    ... on SyncConflicted {
      checkpoint
      conflicts {
        key
        proposed
        current {
          value
          version
        }
      }
      records {
        ${record}
      }
      hasMore
    }
    ... on ResyncRequired {
      reason
    }
  }
}
`,
    variables: {
      input: {
        dataset: { name: 'notes' },
        since: 'start',
        mutationId: 'sync-1',
        changes: [{ put: { key: 'note:1', value: { text: 'Hello', pinned: false } } }],
      },
    },
  },
  {
    query: `# What changed since a checkpoint. "start" means: I have nothing
# yet. Take the checkpoint from the answer for the next pull;
# while hasMore is true, there is more to come.
query PullChanges($since: Checkpoint!) {
  changes(dataset: { name: "notes" }, since: $since, first: 100) {
    __typename
    ... on ChangePage {
      records {
        ${record}
      }
      checkpoint
      hasMore
    }
    ... on ResyncRequired {
      reason
    }
  }
}
`,
    variables: { since: 'start' },
  },
  {
    query: `# Increments of several devices add up and never conflict. No
# record counts as 0. Change mutationId for each new sync; with
# the same one, nothing is counted twice.
mutation IncrementCounter($mutationId: ID!, $by: Float!) {
  sync(
    input: {
      dataset: { name: "notes" }
      mutationId: $mutationId
      changes: [{ increment: { key: "visits", by: $by } }]
    }
  ) {
    __typename
    ... on SyncApplied {
      results {
        key
        status
        record {
          value
          version
        }
      }
    }
    ... on SyncConflicted {
      conflicts {
        key
      }
    }
    ... on ResyncRequired {
      reason
    }
  }
}
`,
    variables: { mutationId: 'increment-1', by: 1 },
  },
  {
    query: `# A put that is based on an old version of its record: version 0
# says that this device has seen none. Press + at the water
# bottles of the demo page first; then the answer is
# SyncConflicted, with the record as the server has it.
#
# If the answer is SyncApplied, there was no record, or this
# very device wrote it last: with its own last write a device
# does not conflict. Change mutationId for each new sync, since
# a repeated one gives the first outcome again.
mutation Conflict($mutationId: ID!) {
  sync(
    input: {
      dataset: { name: "demo-list" }
      mutationId: $mutationId
      onConflict: REJECT
      changes: [
        {
          put: {
            key: "water-bottles"
            value: 100
            base: { version: 0 }
          }
        }
      ]
    }
  ) {
    __typename
    ... on SyncConflicted {
      conflicts {
        key
        proposed
        proposedDeleted
        current {
          value
          version
          updatedAt
          updatedBy {
            identityId
            deviceId
          }
        }
      }
    }
    ... on SyncApplied {
      results {
        key
        status
      }
    }
    ... on ResyncRequired {
      reason
    }
  }
}
`,
    variables: { mutationId: 'conflict-1' },
  },
  {
    query: `# A dataset with a conflict policy of its own. (Sync creates one
# too, with REJECT.)
mutation CreateDataset($input: CreateDatasetInput!) {
  createDataset(input: $input) {
    id
    name
    role
    version
    checkpoint
    conflictPolicy
  }
}
`,
    variables: { input: { name: 'settings', conflictPolicy: 'MERGE' } },
  },
  {
    query: `# Every dataset I can see, with its first records.
query ListDatasets {
  datasets(first: 20) {
    nodes {
      id
      name
      role
      version
      conflictPolicy
      recordCount
      sizeBytes
      updatedAt
      records(first: 10) {
        nodes {
          key
          value
          version
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
  },
  {
    query: `# One dataset, live: first what was missed since the checkpoint,
# then every commit. Leave this running, and run "Sync" in
# another window or use the demo page.
subscription DatasetChanges($name: String!, $since: Checkpoint) {
  datasetChanges(dataset: { name: $name }, since: $since) {
    __typename
    ... on Ready {
      checkpoint
      resumed
    }
    ... on Commit {
      previous
      checkpoint
      version
      author {
        identityId
        deviceId
      }
      records {
        ${record}
      }
    }
    ... on ResyncRequired {
      reason
    }
    ... on DatasetDeleted {
      datasetId
      name
    }
    ... on AccessEnded {
      datasetId
    }
  }
}
`,
    variables: { name: 'notes', since: 'start' },
  },
  {
    query: `# Everything I can see, live: new, deleted and shared datasets
# too.
subscription IdentityChanges {
  identityChanges {
    __typename
    ... on Ready {
      resumed
    }
    ... on Commit {
      datasetId
      version
      records {
        ${record}
      }
    }
    ... on DatasetCreated {
      datasetId
      name
    }
    ... on DatasetDeleted {
      datasetId
      name
    }
    ... on AccessGranted {
      datasetId
      name
      role
    }
    ... on AccessEnded {
      datasetId
    }
    ... on ResyncRequired {
      datasetId
      reason
    }
  }
}
`,
  },
];
