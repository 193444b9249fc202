"""What all tests share."""

from __future__ import annotations

from tests.hypothesis_profiles import load_profile

load_profile()
