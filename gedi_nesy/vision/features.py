"""Features of images by GEDI's own losses on a fixed dictionary: L_INV among views, and L_PRIOR over atoms.

CPLearn (Sansone, Lebailly & Tuytelaars 2025) in several views. SwAV's small crops are none of them: predictions for
them agree so little with those for the whole that the dictionary was hardly used after the same computing.
"""

import math

from torch import Tensor

from gedi_nesy.core import processes
from gedi_nesy.core.fit import Training
from gedi_nesy.core.lars import LARS
from gedi_nesy.core.losses import negative_entropy_loss
from gedi_nesy.core.losses.views import views_loss
from gedi_nesy.core.objective import Objective
from gedi_nesy.vision.image_network import ImageNetworks
from gedi_nesy.vision.recipe import Features
from gedi_nesy.vision.views import ImageInputs

DECAY, ETA = 1e-4, 5e-3  # of LARS


class FeatureLosses:
    """L_INV and L_PRIOR of a step, each [K], by the step's number.

    With several processes each has a share of the batch, and all have the losses of the whole.

    Args:
        stage: has the terms and the batch.
        inputs: the training images.
        training: has the networks, whose heads are dictionaries.
    """

    def __init__(self, stage: Features, inputs: ImageInputs, training: Training) -> None:
        self.stage, self.inputs, self.training = stage, inputs, training
        weights = dict(stage.weights)
        self.objective = Objective(weights, optima={"inv": 0.0, "prior": -math.log(stage.atoms)})

    def __call__(self, step: int) -> dict[str, Tensor]:
        """The losses by term name."""
        networks, share = self.training.model, self.stage.batch // processes.count()
        assert isinstance(networks, ImageNetworks)
        x = self.inputs.several(networks.count, share, self.stage.views, self.training.generator)
        features = networks.encode(x.flatten(1, 2)).unflatten(1, x.shape[1:3])
        joined = processes.join(features, 2)  # [K, views, batch, features]
        log_probs = networks.classify(networks.project(joined.flatten(1, 2))).log_softmax(-1)
        views = log_probs.unflatten(1, joined.shape[1:3])
        return {"inv": views_loss(views), "prior": negative_entropy_loss(log_probs)}


def feature_optimizer(networks: ImageNetworks, rate: float) -> LARS:
    """LARS over the networks' parameters."""
    return LARS(networks.parameters(), rate, weight_decay=DECAY, eta=ETA)
