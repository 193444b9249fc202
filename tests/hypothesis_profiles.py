"""How hard Hypothesis looks: HYPOTHESIS_PROFILE chooses ``default``, ``soak`` or ``planted``."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

# Time says nothing about these tests: they share their cores with servers under test.
_PATIENT = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("default", max_examples=200, deadline=None, suppress_health_check=_PATIENT)
settings.register_profile("soak", max_examples=2_000, deadline=None, suppress_health_check=_PATIENT)
settings.register_profile(
    "planted",
    max_examples=200,
    deadline=None,
    suppress_health_check=_PATIENT,
    derandomize=True,
    database=None,
    # Whether a planted bug is noticed matters, not by how small an example.
    phases=(Phase.explicit, Phase.generate),
)


def load_profile() -> None:
    """Load the profile that the environment names."""
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
