"""Seeds made of several numbers, and one for each process."""

import numpy as np

from gedi_nesy.core import processes


def mix_seeds(*numbers: int) -> int:
    """One seed from several numbers, of the 32 bits that torch's CPU generator keeps of it."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def own_seed(seed: int) -> int:
    """The seed of this process's randomness, given that of the first one's."""
    return seed if processes.rank() == 0 else mix_seeds(seed, processes.rank())
