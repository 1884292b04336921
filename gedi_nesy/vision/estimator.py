"""GEDIClustering: the vision track's recipe as a scikit-learn estimator."""

import copy
import warnings
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from gedi_nesy.core.energy import energy
from gedi_nesy.errors import UserError
from gedi_nesy.runs.device import float32_default
from gedi_nesy.runs.phases import train_phases
from gedi_nesy.runs.rollback import Rollback
from gedi_nesy.vision.certificate import certify
from gedi_nesy.vision.learner import Learner
from gedi_nesy.vision.losses import build_sgld
from gedi_nesy.vision.recipe import load_recipe
from gedi_nesy.vision.run import sample_inputs

# A third of the recipe's steps, on half its batch, give the same clusters of moons and circles, and as many of spirals
# and rings as half of them; half as many chains learn as good a density of moons and circles.
FEATURE_STEPS = 200
BATCH = 128
CHAINS = 200


class GEDIClustering(ClusterMixin, BaseEstimator):
    """Clusters and density of points by a neural network, with a certificate that needs no labels.

    Several networks learn certain and balanced clusters, the same for a point and for the points to which a random walk
    on the graph of nearest neighbours leads from it. The network with the lowest certificate D is kept; its clusters
    are about equally large. Then it learns the density of the points too.

    Args:
        n_clusters: how many clusters.
        restarts: networks to choose from; a certificate needs two or more, because another one must have the same
            clusters.
        walk: steps of a random walk.
        neighbours: of each point on the graph; fewer where there are fewer points.
        noise: standard deviation of the noise on a view, in units of each column's deviation.
        steps: training steps of the clustering; FEATURE_STEPS that learn features alone come before them.
        density_steps: training steps with L_GEN after it, each as long as three of the clustering; 1500 give a sharper
            density, with 0 there is none to sample from or to score.
        random_state: seed of everything random, or None.
        device: cpu, cuda, ...

    Attributes:
        labels_: cluster of each training point, [n].
        certificate_: D and the reasons for doubt; `certificate_["certified"]` says whether to trust the clusters.
        networks_: the network, a stack of one, in float64.

    Example:
        >>> left, right = np.random.default_rng(0).normal([[[-3, 0]], [[3, 0]]], 0.3, (2, 40, 2))
        >>> model = GEDIClustering(n_clusters=2, density_steps=0, random_state=0)
        >>> labels = model.fit_predict(np.concatenate([left, right]))
        >>> len(set(labels[:40])), len(set(labels[40:])), len(set(labels))
        (1, 1, 2)
    """

    def __init__(
        self,
        n_clusters: int = 2,
        *,
        restarts: int = 3,
        walk: int = 512,
        neighbours: int = 20,
        noise: float = 0.03,
        steps: int = 200,
        density_steps: int = 300,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
    ) -> None:
        self.n_clusters = n_clusters
        self.restarts = restarts
        self.walk = walk
        self.neighbours = neighbours
        self.noise = noise
        self.steps = steps
        self.density_steps = density_steps
        self.random_state = random_state
        self.device = device

    @float32_default()
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Learn from points, [n, d]; y is ignored.

        Raises:
            UserError: for settings out of their range, or fewer points than clusters.
        """
        self._check_settings()
        x = torch.tensor(validate_data(self, X, dtype=np.float64, ensure_min_samples=2))
        if len(x) < self.n_clusters:
            raise ValueError(f"{len(x)} points can't make n_clusters={self.n_clusters}; give more points.")
        overrides: dict[str, Any] = {
            "seed": int(check_random_state(self.random_state).randint(2**28)),
            "clusters": self.n_clusters,
            "restarts": self.restarts,
            "device": self.device,
            "view.walk": self.walk,
            "view.neighbours": min(self.neighbours, len(x) - 1),
            "view.noise": self.noise,
            "pretrain.steps": FEATURE_STEPS,
            "train.steps": self.steps,
            "pretrain.batch": BATCH,
            "train.batch": BATCH,
        }
        density = {"refine.steps": self.density_steps, "sampler.chains": CHAINS}
        overrides |= density if self.density_steps else {"refine": None}
        recipe = load_recipe("gedi", overrides)
        learner = Learner(recipe, [x], self.n_clusters)
        networks, choices = learner.result(train_phases(learner, Rollback(recipe.guard)))
        (self.certificate_,) = certify(networks, learner.inputs, choices)
        self.networks_ = networks.eval().requires_grad_(False).double()  # so that batches of any size agree
        self._recipe, self._scale, self._box = recipe, learner.scales[0], learner.box
        self.labels_ = self._logits(x).argmax(-1).cpu().numpy()
        self._warn_of_empty_clusters()
        return self

    def _warn_of_empty_clusters(self) -> None:
        filled = len(np.unique(self.labels_))
        if filled < self.n_clusters:
            warnings.warn(
                f"Only {filled} of n_clusters={self.n_clusters} clusters have training points: take fewer clusters, or "
                "more steps or restarts, or another random_state.",
                ConvergenceWarning,
                stacklevel=4,  # of which one is float32_default's,
            )

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """The most probable cluster of each point, [n]."""
        labels: NDArray[np.int64] = self._logits(self._check(X)).argmax(-1).cpu().numpy()
        return labels

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """p(cluster | point), [n, n_clusters]."""
        probabilities: NDArray[np.float64] = self._logits(self._check(X)).softmax(-1).cpu().numpy()
        return probabilities

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """Log-density of each point up to a constant, [n], in nats.

        Raises:
            ValueError: if it was fitted with density_steps=0.
        """
        x = self._check(X)
        self._check_density()
        log_density: NDArray[np.float64] = -energy(self._logits(x)).cpu().numpy()
        return log_density

    def sample(self, n_samples: int = 1, *, steps: int = 1000) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Draw points from the learned density.

        Args:
            n_samples: how many.
            steps: SGLD steps of each chain, from noise.

        Returns:
            Points, [n, d], and the cluster of each, [n].

        Raises:
            ValueError: if it was fitted with density_steps=0, or there is nothing to draw.
            FloatingPointError: if the chains have left the finite numbers.
        """
        check_is_fitted(self)
        self._check_density()
        for name, number in {"n_samples": n_samples, "steps": steps}.items():
            if not isinstance(number, Integral) or number < 1:
                raise UserError(f"{name} must be a whole number from 1 on, not {number!r}.")
        seed = int(check_random_state(self.random_state).randint(2**28))
        networks = copy.deepcopy(self.networks_).float()  # a copy: another thread may predict meanwhile
        assert self._recipe.sampler is not None
        sgld = replace(build_sgld(self._recipe.sampler, self._box, None), steps=int(steps))
        inputs = sample_inputs(networks, sgld, self._scale.shape, self._box, int(n_samples), seed)
        x = self._scale.to_points(inputs)
        return x.double().cpu().numpy(), self._logits(x).argmax(-1).cpu().numpy()

    def _check_settings(self) -> None:
        """UserError where a setting is not a number; its range is checked later."""
        for name in ("n_clusters", "restarts", "walk", "neighbours", "steps", "density_steps"):
            if not isinstance(number := getattr(self, name), Integral) or isinstance(number, bool):
                raise UserError(f"{name} must be a whole number, not {number!r}.")
        if not isinstance(self.noise, Real):
            raise UserError(f"noise must be a number, not {self.noise!r}.")

    def _check_density(self) -> None:
        if not self._recipe.has_energy_model:
            raise ValueError("Without a density there are no scores and samples; fit with density_steps above 0.")

    def _check(self, X: ArrayLike) -> Tensor:
        check_is_fitted(self)
        return torch.tensor(validate_data(self, X, dtype=np.float64, reset=False))

    @torch.no_grad()
    def _logits(self, x: Tensor) -> Tensor:
        """[n, d] -> [n, n_clusters], in float64."""
        inputs = self._scale.to_inputs(x.to(self._scale.shift.device, torch.float64))
        logits: Tensor = self.networks_(inputs[None])[0]
        return logits
