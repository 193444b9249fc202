"""What all tests share."""

from __future__ import annotations

import signal

from tests.hypothesis_profiles import load_profile

load_profile()

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Shells start what is to run in the background so; the servers and devices of the tests would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
