"""What Syncline is compared with: small servers that take the same messages, each a program of its own.

``strawberry``: what one gets by following Strawberry's documentation. ``broadcast``: what uvicorn alone costs.
Tokens are ``identity/device`` in the clear: nobody is checked, which is in the baselines' favour.
"""
