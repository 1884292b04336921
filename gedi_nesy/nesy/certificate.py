"""What a finished run can say about itself without labels."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gedi_nesy.core.objective import Diagnosis
from gedi_nesy.nesy.select import Selection

# Restarts that found the true symbols agreed on .98 and more of the images, restarts in different traps on .36 to .96.
AGREED = 0.97


def certificate(diagnoses: Mapping[str, Diagnosis], selection: Selection | None) -> dict[str, Any]:
    """The triad diagnosis of each network, and whether independent restarts found the same symbols.

    The diagnosis rules out the three failure modes (paper, Proposition 1) but can't see symbols that are clean and
    swapped. Restarts from other starting points, trapped elsewhere if trapped, can: so a run is certified only when
    the diagnosis finds nothing and another restart agrees with the chosen one.
    """
    failures = sorted({failure for found in diagnoses.values() for failure in found.failures})
    support = selection.support if selection else None
    return {
        "certified": not failures and support is not None and support >= AGREED,
        "failures": failures,
        "restart_agreement": support,
        "D": max(found.certificate for found in diagnoses.values()),
        "networks": {name: asdict(found) for name, found in diagnoses.items()},
    }
