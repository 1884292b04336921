"""The names of the methods, without a line of torch, so that the command line can offer them at once.

An X of Section 2's family is a term of `core.terms` that compares two views. Each is a method of three: alone, as
`X+gen` with L_GEN, and as `X+nesy` beside a rule. PUBLISHED are those without a rule that the paper trains, too.
"""

from collections.abc import Sequence

from gedi_nesy.errors import UserError, did_you_mean

FAMILY = ("infonce", "ebclr", "protocpc", "corinfomax", "vicreg", "wmse", "barlow", "mec", "swav")
OURS = "gedi+nesy"
WITH_RULE = (OURS, "paper", "gedi", "nesy", *(f"{name}+nesy" for name in FAMILY))
PUBLISHED = ("gedi", "gedi-no-gen", "gedi-no-inv", "gedi-no-prior", "gedi-two-stage", "jem", "swav", "barlow")
WITHOUT_RULE = tuple(dict.fromkeys([*PUBLISHED, *FAMILY, *(f"{name}+gen" for name in FAMILY)]))


def check_method(name: str, names: Sequence[str]) -> None:
    """UserError unless the method has one of these names."""
    if name not in names:
        raise UserError(f"There is no method {name!r}{did_you_mean(name, names)}; choose from {', '.join(names)}.")
