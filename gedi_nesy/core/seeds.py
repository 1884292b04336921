"""Seeds made of several numbers, and one for each process."""

import numpy as np

from gedi_nesy.core import processes


def mix_seeds(*numbers: int) -> int:
    """One seed from several numbers, with the 32 bits that torch's CPU generator uses."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def own_seed(seed: int) -> int:
    """The seed of this process's randomness, given the first process's seed."""
    return seed if processes.rank() == 0 else mix_seeds(seed, processes.rank())
