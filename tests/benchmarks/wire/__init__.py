"""Clients that cost little: raw protocols of asyncio, with callbacks in place of tasks."""
