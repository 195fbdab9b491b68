"""What a process of a job does under the public API: sockets, objects, tasks and actors.

Bytes: `frames` (layouts and bounds), `serialization` (values to bytes), `arguments` (of calls),
`ops` (numbers of the local protocol, `proto/local.md`).

Input and output: `loop` (who polls, and when), `connection` (a stream of frames), `hub` (the
agent: requests, notes, events), `peer` and `neighbours` (the other processes), `arena` (shared
memory).

The caller's side: `objects` (states, values, counts), `fetching`, `waiting` and `storing` (`get`,
`wait`, `put`), `options` (what `@remote` takes), `tasks`, `submitter` and `leases` (tasks),
`actors` and `actor_client` (actors), `streams` (generators), `failures` (causes to errors),
`reporter` and `logs`.

The worker's side: `worker_main`, `calls` (what came in), `executor` (runs it), `answers` (what
goes back), `actor_modes` (serial, threads, asyncio).

`core_worker` ties them together; `global_state` holds the one of this process.

Three rules hold everywhere. One lock, `loop.lock`, guards all state, and no code of the user's
runs under it. All frames from one process to another take one path, so that they arrive in the
order in which they were sent: calls of actors and the counting of references rely on it.
`ObjectRef.__del__` only notes an id, because it can run anywhere; `objects.drain` counts it later.
"""
