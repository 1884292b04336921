"""Learning from a rule: matching by shape or restarts that name the symbols, then a student; without files."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from gedi_nesy.core import processes
from gedi_nesy.core.chains import Chains
from gedi_nesy.core.fit import Training, moving_average
from gedi_nesy.core.modes import evaluating
from gedi_nesy.core.objective import Diagnosis
from gedi_nesy.core.seeds import own_seed
from gedi_nesy.core.sgld import ReplayBuffer
from gedi_nesy.data.scale import SCALES
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.candidates import Candidates, network_shapes
from gedi_nesy.nesy.evaluate import diagnose_networks
from gedi_nesy.nesy.examples import Examples
from gedi_nesy.nesy.losses import StepLosses, Targets, build_sgld, warp_some
from gedi_nesy.nesy.matching import Matched, check_matchable, match
from gedi_nesy.nesy.recipe import Recipe
from gedi_nesy.nesy.select import Selection, check_not_collapsed, choose, judge
from gedi_nesy.runs.device import check_room, find_device
from gedi_nesy.runs.phases import Phase

CHAINS_SEED = 2**30  # above every phase's seed


class Learner:
    """Learns a rule's networks from examples.

    Args:
        recipe: every setting; where its examples come from is not looked at.
        constraint: the rule.
        examples: what to train on.
        tell: told what is done between phases, with how many steps of how many are done: stage, step, steps.

    Attributes:
        matched: what matching found, where the recipe has it.
        selection: which restarts the student trusts, once they were judged.

    Raises:
        UserError: if the settings, the rule and the images don't go together, or the processes can't share the chains.
    """

    def __init__(
        self, recipe: Recipe, constraint: Constraint, examples: Examples, tell: Callable[[str, int, int], None]
    ):
        self.recipe, self.constraint, self.tell = recipe, constraint, tell
        self.device, self.scale = find_device(recipe.device), SCALES[recipe.scale]
        self.shapes = network_shapes(constraint, examples.pool.shape[1:])
        self.loader = Loader(examples, constraint, self.scale, self.device)
        self.targets: Targets | None = None  # the teacher's posteriors, once there is one
        self.matched: Matched | None = None
        self.selection: Selection | None = None
        self._check()

    def _check(self) -> None:
        """What would fail in a later stage is refused now."""
        recipe, sampler = self.recipe, self.recipe.sampler
        if recipe.matching:
            check_matchable(self.loader, recipe.matching)
        if sampler is None:
            return
        build_sgld(sampler, self.scale, self.loader.ground)
        for shape in self.shapes.values():
            check_room(sampler.buffer, (shape.images, *self.loader.inputs.shape[2:]), self.device)
        for name in ("chains", "buffer", "distorted"):
            if getattr(sampler, name) % processes.count():
                raise UserError(
                    f"{processes.count()} processes can't share sampler.{name} = {getattr(sampler, name)}; make it a "
                    "multiple."
                )

    @property
    def phases(self) -> list[Phase]:
        """The cycles of the first stage, then the student."""
        recipe = self.recipe
        names = ["train"] if recipe.cycles == 1 else [f"train {cycle + 1}" for cycle in range(recipe.cycles)]
        stages = [(name, recipe.train) for name in names]
        if recipe.student:
            stages.append(("student", recipe.student))
        size, first = (len(self.loader), self.loader.calls_each), recipe.seed * len(stages)
        return [Phase(k, name, stage, first + k, stage.length(*size)) for k, (name, stage) in enumerate(stages)]

    def begin(self, phase: Phase, before: Training | None) -> Training:
        """Networks to train: at first, after the search for symbols by shape, and for a student those of a teacher."""
        student, best = phase.name == "student", None
        if student and before:
            best = self._choose_teacher(candidates_of(before))
        elif self.recipe.matching and self.matched is None:
            self._match()
        model = self._new_candidates(phase, None if student else before)
        for own in model.own_rules:
            own.load_state_dict(best or self.constraint.state_dict())
        model.to(self.device)
        generator = torch.Generator(self.device).manual_seed(own_seed(phase.seed))
        optimizer, average = _new_optimizer(model, phase), moving_average(model, phase.stage.ema)
        return Training(model, optimizer, generator, average, chains=self._chains(phase, model, generator))

    def losses(self, phase: Phase, training: Training) -> StepLosses:
        """The losses of the phase's steps."""
        recipe, stage = self.recipe, phase.stage
        return StepLosses(recipe, stage, self.constraint, self.loader, training, phase.seed, self.targets)

    def diagnose(self, training: Training) -> dict[str, Diagnosis]:
        """That of each network of the first restart."""
        assert isinstance(training.model, Candidates)
        with evaluating(training.model):
            return diagnose_networks(training.model.networks(0), self.constraint, self.loader)

    def findings(self) -> dict[str, Any]:
        """What matching and the restarts came to, for the checkpoint and summary.json."""
        return {
            "matching": self.matched.to_dict() if self.matched else None,
            "restarts": self.selection.to_dict() if self.selection else None,
        }

    def state_dict(self) -> dict[str, Any]:
        """The teacher, and how it was found."""
        return {"search": {"targets": self.targets} | self.findings()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        search = state["search"]
        self.targets = search["targets"]
        self.matched = Matched(**search["matching"]) if search["matching"] else None
        self.selection = Selection(**search["restarts"]) if search["restarts"] else None

    def _match(self) -> None:
        """The first teacher: the images' shapes."""
        self.tell("matching", 0, 0)

        def swept(sweep: int, sweeps: int) -> None:
            self.tell("matching", sweep, sweeps)

        self.matched, self.targets = match(self.constraint, self.loader, self.recipe, swept)

    def _choose_teacher(self, restarts: Candidates) -> Mapping[str, Any]:
        """The student's teacher: the restarts that the best one agrees with.

        Returns:
            The probabilities of the rule that the best restart learned.

        Raises:
            UserError: if that has collapsed.
        """
        self.tell("judging the restarts", 0, 0)
        judged = judge(restarts.eval(), self.constraint, self.loader, self.recipe)
        self.selection, self.targets = choose(judged, self.recipe)
        check_not_collapsed(judged, self.selection)
        return judged.rules[self.selection.best]

    def _new_candidates(self, phase: Phase, before: Training | None) -> Candidates:
        """Fresh networks, or in a later cycle those of the cycle before with fresh heads."""
        if before:
            model = candidates_of(before)
            model.redraw_heads(phase.seed)
            return model
        restarts = 1 if phase.name == "student" else self.recipe.restarts
        dim = self.recipe.dim if phase.stage.weights.used("embeddings") else None
        return Candidates(self.shapes, restarts, phase.seed, self.recipe.build(phase.stage), dim, self.constraint)

    def _chains(self, phase: Phase, model: Candidates, generator: torch.Generator) -> dict[str, Chains]:
        """This process's share of the chains of each network, where L_GEN is on."""
        settings, ground, share = self.recipe.sampler, self.loader.ground, processes.count()
        if settings is None or phase.stage.weights.gen.is_zero:
            return {}
        size, low, high = self.loader.inputs.shape[2:], self.scale.low, self.scale.high
        sgld, renew = build_sgld(settings, self.scale, ground), warp_some(settings.warp, ground)
        chains = {}
        for k, (name, of) in enumerate(self.shapes.items()):
            if settings.ahead:  # what runs beside a step must not share its source of randomness
                generator = torch.Generator(self.device).manual_seed(own_seed(CHAINS_SEED + phase.seed + k))
            shape = (of.images, *size)
            buffer = ReplayBuffer(settings.buffer // share, shape, low, high, settings.reinit, generator, self.device)
            net, count = model.networks(0)[name], settings.chains // share
            chains[name] = Chains(net, sgld, buffer, count, generator, ahead=settings.ahead, renew=renew)
        return chains


def candidates_of(training: Training) -> Candidates:
    """The networks to use: the moving average where there is one."""
    assert isinstance(training.result, Candidates)
    return training.result


def _new_optimizer(model: Candidates, phase: Phase) -> torch.optim.Adam:
    """Adam, without weight decay for the rule's probabilities."""
    rules = [*model.own_rules.parameters()]
    networks = [parameter for name, parameter in model.named_parameters() if not name.startswith("own_rules.")]
    return torch.optim.Adam(
        [{"params": networks, "weight_decay": phase.stage.l2}] + [{"params": rules}] * bool(rules),
        lr=phase.stage.learning_rate(0),
        betas=(0.9, 0.999),
        fused=True,
    )
