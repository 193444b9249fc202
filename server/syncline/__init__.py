"""Syncline: a self-hosted, real-time GraphQL sync server."""

__version__ = "0.1.0"
