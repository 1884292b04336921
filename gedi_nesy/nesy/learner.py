"""Learning from a rule: matching by shape or restarts that name the symbols, then a student; without files."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

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
from gedi_nesy.logic.ground import Key
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.candidates import Candidates, network_shapes
from gedi_nesy.nesy.evaluate import diagnose_networks
from gedi_nesy.nesy.examples import Examples
from gedi_nesy.nesy.joint import information, joint_readings, load_examples
from gedi_nesy.nesy.labels import read_labels
from gedi_nesy.nesy.losses import StepLosses, Targets, build_sgld, renewal, start_ground
from gedi_nesy.nesy.marginals import learn_marginals, marginals_of
from gedi_nesy.nesy.matching import Matched, check_matchable, match
from gedi_nesy.nesy.queries import Rule, join, parts_of, split
from gedi_nesy.nesy.recipe import Recipe
from gedi_nesy.nesy.select import Selection, check_not_collapsed, score_restarts, select_restart
from gedi_nesy.nesy.settle import settle_networks, weigh_labels
from gedi_nesy.networks.own import Network
from gedi_nesy.runs.device import check_room, find_device
from gedi_nesy.runs.phases import Phase

TAUGHT = 0.5  # the share of examples up to which matched symbols leave enough others to judge their rivals by
PULL = 20.0  # examples as which the rule's own marginals count, beside the data's
CHAINS_SEED = 2**30  # above every phase's seed


class Learner:
    """Learns a rule's networks from examples.

    Args:
        recipe: every setting, but where the examples come from. The attribute also says which networks were chosen.
        rule: one query, or several.
        examples: what to train on; of several queries the examples of each.
        tell: told what is done between phases, with how many steps of how many are done: stage, step, steps.
        own: networks that are classes or functions of Python, by the descriptions that the recipe has.

    Attributes:
        matched: the result of matching, where the recipe has it.
        selection: which restarts teach the student, once they are judged.

    Raises:
        UserError: if the settings, the rule and the images don't go together, or the processes can't share the chains.
    """

    def __init__(
        self,
        recipe: Recipe,
        rule: Rule,
        examples: Examples | Sequence[Examples],
        tell: Callable[[str, int, int], None],
        own: Mapping[str, Network] = MappingProxyType({}),
    ):
        self.rule, self.tell, self.own = rule, tell, own
        self.device = find_device(recipe.device)
        of_each = [examples] if isinstance(examples, Examples) else examples
        readings = joint_readings(rule, of_each, SCALES[recipe.scale], self.device, recipe.view)
        self.shapes = network_shapes(rule, {name: reading.shape for name, reading in readings.items()})
        self.recipe = weigh_labels(settle_networks(recipe, readings, self.shapes))
        features = Path(recipe.features) if recipe.features else None
        self.labels = read_labels(Path(recipe.labels), rule, readings, features) if recipe.labels else {}
        self.loader = load_examples(of_each, rule, readings, self.device)
        self.teachers: list[Targets] = []  # the posteriors of each restart's teacher, once there are teachers
        self.matched: Matched | None = None
        self.selection: Selection | None = None
        self._check()

    def _check(self) -> None:
        """Refuse now what would fail in a later stage."""
        recipe, sampler = self.recipe, self.recipe.sampler
        if len(self.loader.parts) > 1 and processes.count() > 1:
            raise UserError("Several queries are trained in one process; leave torchrun out.")
        if recipe.matching:
            check_matchable(self.matchable[1], recipe.matching, self.labels)
        if sampler is None:
            return
        networks = Candidates(self.shapes, 1, 0, recipe.build(recipe.last, self.own)).networks(0)
        for name, shape in self.shapes.items():
            build_sgld(sampler, self.loader.readings[name], shape, networks[name])
            check_room(sampler.buffer, shape.input, self.device)
        for name in ("chains", "buffer", "distorted"):
            if getattr(sampler, name) % processes.count():
                raise UserError(
                    f"{processes.count()} processes can't share sampler.{name} = {getattr(sampler, name)}; make it a "
                    "multiple."
                )

    def say_queries(self) -> list[str]:
        """A sentence on which of several queries matching goes by."""
        if len(self.loader.parts) == 1 or not self.recipe.matching:
            return []
        constraint, loader = self.matchable
        n = min(len(loader), self.recipe.matching.examples)
        return [
            f"Inputs are matched by {n:,} examples of {constraint.query.goal}; then all {len(self.loader):,} examples "
            "train the networks."
        ]

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
        """The networks to train; matching comes before the first ones, the choice of a teacher before a student."""
        student, best = phase.name == "student", None
        if student and before:
            best = self._choose_teacher(candidates_of(before))
        elif self.recipe.matching and self.matched is None:
            self.search()
        model = self._new_candidates(phase, None if student else before)
        for own in model.own_rules:
            own.load_state_dict(best or self.rule.state_dict())
        model.to(self.device)
        generator = torch.Generator(self.device).manual_seed(own_seed(phase.seed))
        optimizer, average = _new_optimizer(model, phase), moving_average(model, phase.stage.ema)
        return Training(model, optimizer, generator, average, chains=self._chains(phase, model, generator))

    def losses(self, phase: Phase, training: Training) -> StepLosses:
        """The losses of the phase's steps."""
        recipe, stage = self.recipe, phase.stage
        seed, teachers, marginals = phase.seed, self.teachers, self.marginals
        return StepLosses(recipe, stage, self.rule, self.loader, training, seed, teachers, marginals, self.labels)

    @cached_property
    def _by_answers(self) -> list[dict[Key, Tensor] | None]:
        """For each query that has arguments the marginals by their values."""
        answers = [part.examples.answers for part in self.loader.parts]
        asked = zip(parts_of(self.rule), answers, strict=True)
        return [None if given is None else learn_marginals(part, given, PULL) for part, given in asked]

    @property
    def marginals(self) -> list[dict[Key, Tensor]]:
        """How often each variable should show each symbol: by the rule, or by what is known of the data so far.

        Where this is known from teachers, restarts with other teachers have other marginals.
        """
        if not self.recipe.learns_prior:
            return [self.rule.marginals()]
        return [self._learned(targets) for targets in self.teachers or [{}]]

    def _learned(self, targets: Targets) -> dict[Key, Tensor]:
        """The marginals by a teacher, and of queries that it has not seen by their examples' answers.

        A teacher saw the inputs, where answers alone take an example's symbols for independent.
        """
        learned = []
        known = zip(parts_of(self.rule), self._by_answers, split(self.rule, targets), strict=True)
        for part, by_answers, taught in known:
            by_teacher = any(bool(shares.any()) for shares in taught.values()) or by_answers is None
            learned.append(marginals_of(part, taught, PULL) if by_teacher else by_answers or {})
        return join(self.rule, learned)

    def diagnose(self, training: Training) -> dict[str, Diagnosis]:
        """The diagnosis of each network of the first restart."""
        assert isinstance(training.model, Candidates)
        with evaluating(training.model):
            return diagnose_networks(training.model.networks(0), self.marginals[0], self.loader)

    def findings(self) -> dict[str, Any]:
        """The results of matching and of the restarts, for the checkpoint and summary.json."""
        return {
            "matching": self.matched.to_dict() if self.matched else None,
            "restarts": self.selection.to_dict() if self.selection else None,
        }

    def state_dict(self) -> dict[str, Any]:
        """The teacher, and the results that chose it."""
        return {"search": {"teachers": self.teachers} | self.findings()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        search = state["search"]
        self.teachers = search["teachers"]
        self.matched = Matched(**search["matching"]) if search["matching"] else None
        self.selection = Selection(**search["restarts"]) if search["restarts"] else None

    def search(self) -> Matched:
        """Match the inputs by their likeness: the first teacher.

        Where the symbols found have no clear lead, the best others teach a second network beside the first, and the
        rule decides: on examples that no teacher has named, wrong symbols fit it worse.
        """
        self.tell("matching", 0, 0)

        def swept(sweep: int, sweeps: int) -> None:
            self.tell("matching", sweep, sweeps)

        constraint, loader = self.matchable
        self.matched, found = match(constraint, loader, self.recipe, swept, labels=self.labels)
        kept = found if self._needs_rival(found) else found[:1]
        untaught = [_untaught(part) for part in self.loader.parts]
        taught = self.loader.parts.index(loader)
        self.teachers = [join(self.rule, [*untaught[:taught], own, *untaught[taught + 1 :]]) for own in kept]
        return self.matched

    def _needs_rival(self, found: Sequence[Targets]) -> bool:
        """Whether symbols are doubtful, and a second network could settle it."""
        assert self.matched is not None
        recipe = self.recipe
        can_judge = recipe.student is not None and recipe.restarts == 1 and recipe.train.weights.gen.is_zero
        named = torch.stack([shares.sum(-1) for shares in found[0].values()]).amax(0) > 0
        return can_judge and not self.matched.leads and named.sum().item() <= TAUGHT * len(self.loader)

    @cached_property
    def matchable(self) -> tuple[Constraint, Loader]:
        """The query that inputs are matched by, and its examples: of several the one that says most of each input.

        Raises:
            UserError: no query calls all networks.
        """
        pairs = list(zip(parts_of(self.rule), self.loader.parts, strict=True))
        whole = [pair for pair in pairs if len(pair[1].calls) == len(self.shapes)]
        if not whole:
            raise UserError(
                f"Inputs are matched by one query, which must call all of {', '.join(self.shapes)}, and none does; add "
                "such a query, or take --recipe gedi-nesy-restarts, which goes by all of them."
            )
        return max(whole, key=lambda pair: information(*pair)) if len(whole) > 1 else whole[0]

    def _choose_teacher(self, restarts: Candidates) -> Mapping[str, Any]:
        """The student's teacher: the restarts that the best one agrees with.

        Returns:
            The probabilities of the rule that the best restart learned.

        Raises:
            UserError: if that has collapsed.
        """
        self.tell("judging the restarts", 0, 0)
        scores = score_restarts(restarts.eval(), self.rule, self.loader, self.recipe, self.marginals)
        self.selection, targets = select_restart(scores, self.recipe)
        self.teachers = [targets]
        check_not_collapsed(scores, self.selection)
        return scores.rules[self.selection.best]

    def _new_candidates(self, phase: Phase, before: Training | None) -> Candidates:
        """Fresh networks, or in a later cycle the networks of the cycle before with fresh heads."""
        if before:
            model = candidates_of(before)
            model.redraw_heads(phase.seed)
            return model
        restarts = 1 if phase.name == "student" else max(self.recipe.restarts, len(self.teachers))
        dim = self.recipe.dim if phase.stage.weights.used("embeddings") else None
        build = self.recipe.build(phase.stage, self.own)
        return Candidates(self.shapes, restarts, phase.seed, build, dim, self.rule)

    def _chains(self, phase: Phase, model: Candidates, generator: torch.Generator) -> dict[str, Chains]:
        """This process's share of the chains of each network, where L_GEN is on."""
        settings, share = self.recipe.sampler, processes.count()
        if settings is None or phase.stage.weights.gen.is_zero:
            return {}
        chains = {}
        for k, (name, of) in enumerate(self.shapes.items()):
            if settings.ahead:  # a second thread must not share the step's source of randomness
                generator = torch.Generator(self.device).manual_seed(own_seed(CHAINS_SEED + phase.seed + k))
            net, reading = model.networks(0)[name], self.loader.readings[name]
            room, box = settings.buffer // share, (reading.scale.low, reading.scale.high)
            ground = start_ground(settings, reading, of)
            buffer = ReplayBuffer(room, of.input, *box, settings.reinit, generator, self.device, ground=ground)
            sgld, renew = build_sgld(settings, reading, of, net), renewal(settings.warp, reading)
            count = settings.chains // share
            chains[name] = Chains(net, sgld, buffer, count, generator, ahead=settings.ahead, renew=renew)
        return chains


def candidates_of(training: Training) -> Candidates:
    """The networks to use: the moving average where there is one."""
    assert isinstance(training.result, Candidates)
    return training.result


def _untaught(loader: Loader) -> Targets:
    """Targets of examples that have no teacher: zeros, [examples, classes]."""
    calls = [call for own in loader.calls.values() for call in own]
    return {call.key: torch.zeros(len(loader), len(call.domain), device=loader.device) for call in calls}


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
