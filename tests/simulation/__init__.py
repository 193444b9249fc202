"""Two nodes, a store, a bus and four devices on one event loop with a virtual clock; see ``docs/reliability.md``."""
