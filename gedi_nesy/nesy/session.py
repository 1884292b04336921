"""One process's work on a run: its phases from wherever the checkpoint left them, then the results."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gedi_nesy.core.chains import Chains
from gedi_nesy.core.fit import DivergedError, Training, fit, moving_average
from gedi_nesy.core.metrics import Scores
from gedi_nesy.core.modes import evaluating
from gedi_nesy.core.objective import Diagnosis
from gedi_nesy.core.sgld import ReplayBuffer
from gedi_nesy.data import Images
from gedi_nesy.data.scale import SCALES
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.candidates import Candidates, network_shapes
from gedi_nesy.nesy.certificate import certificate, readings
from gedi_nesy.nesy.energies import check_energies
from gedi_nesy.nesy.evaluate import diagnose_networks, draw_test_examples, evaluate_networks
from gedi_nesy.nesy.examples import Examples
from gedi_nesy.nesy.familiarity import familiarity_quantiles
from gedi_nesy.nesy.losses import StepLosses, Targets, build_sgld, warp_some
from gedi_nesy.nesy.matching import Matched, check_matchable, match
from gedi_nesy.nesy.phases import STUDENT, Phase, list_phases
from gedi_nesy.nesy.picture import draw_pictures
from gedi_nesy.nesy.recipe import Recipe
from gedi_nesy.nesy.rows import score_rows
from gedi_nesy.nesy.run import Run
from gedi_nesy.nesy.select import Judged, Selection, check_not_collapsed, choose, judge
from gedi_nesy.runs.callbacks import Interrupted, Logger, Progress, Saver, check_place, fitting, restore, sign_of_life
from gedi_nesy.runs.device import check_room, cpu_threads, find_device
from gedi_nesy.runs.folder import RunFolder, StopRequest, provenance, stop_on_signal
from gedi_nesy.runs.rollback import Rollback

NOT_MNIST = "These are scikit-learn's 8x8 digits, enlarged, not MNIST: the figures say nothing about MNIST."
CHAINS_SEED = 2**30  # above every phase's seed


@dataclass(frozen=True)
class Search:
    """What a stage with a teacher learns from, and how it was found.

    Attributes:
        targets: the teacher's posteriors, once there is a teacher.
        matched: what matching found, where the recipe has it.
        judged: the restarts of all rounds that are over.
        selection: which of them the student trusts.
    """

    targets: Targets | None = None
    matched: Matched | None = None
    judged: Judged | None = None
    selection: Selection | None = None


class Session:
    """One process's work on a run.

    Args:
        recipe: every setting; its data set is `images`.
        constraint: the rule.
        examples: what to train on.
        images: labelled images to score on, or None where there are none.
        progress: told the row of each logged step, and signs of life: `watch.sign_of_life`.

    Raises:
        UserError: if the settings, the rule and the images don't go together.
    """

    def __init__(
        self, recipe: Recipe, constraint: Constraint, examples: Examples, images: Images | None, progress: Progress
    ):
        self.recipe, self.constraint, self.examples = recipe, constraint, examples
        self.images, self.progress = images, progress
        self.device = find_device(recipe.device)
        self.scale = SCALES[recipe.scale]
        self.phases = list_phases(recipe)
        self.rollback = Rollback(recipe.guard)
        self.shapes = network_shapes(constraint, examples.pool.shape[1:])
        self.loader = Loader(examples, constraint, self.scale, self.device)
        if recipe.sampler:
            build_sgld(recipe.sampler, self.scale, self.loader.ground)  # refuses its settings now, not in stage two
            for of in self.shapes.values():
                check_room(recipe.sampler.buffer, (of.images, *examples.pool.shape[2:]), self.device)
        if recipe.matching:
            check_matchable(self.loader, recipe.matching)
        if images:
            draw_test_examples(constraint, images)  # likewise a test set that can't be scored on
        self.before = 0.0  # seconds that earlier processes spent on this run
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """What the run has taken so far, over all its processes."""
        return self.before + time.monotonic() - self.started

    def run(self, folder: RunFolder) -> Run:
        """Train what is left of the run, evaluate it and write its results.

        Raises:
            Interrupted: when a stop was asked for, with the folder's path; the state is saved.
            UserError: when training diverged.
        """
        with folder.locked(), cpu_threads(self.recipe.threads):
            state = folder.load_checkpoint(self.device)
            check_place(state, len(self.phases), folder)
            self.before = state["seconds"] if state else 0.0
            try:
                training, search = self._train(folder, state)
                return self._finish(folder, training, search)
            except (Interrupted, KeyboardInterrupt) as stopped:
                raise Interrupted(folder.path) from stopped
            except (DivergedError, FloatingPointError) as error:
                raise UserError(
                    f"Training diverged ({error}); {folder.path} keeps the last good checkpoint. Start a new run with "
                    f"smaller learning rates, for example --set train.learning_rate=0.0001."
                ) from error

    def _train(self, folder: RunFolder, state: Mapping[str, Any] | None) -> tuple[Training, Search]:
        """All phases, from the one in the checkpoint on: the rounds of the first stage, then the student."""
        training = None
        with fitting(folder):
            search = _read_search(state)
        if state is None:
            folder.rewind_metrics(lambda row: False)  # of a start that was killed
        for phase in self.phases[state["phase"] if state else 0 :]:
            if state is None:
                if training and phase.fresh:  # a round is over
                    search, training = self._judge(training, search), None
                if phase.round > 1 and self._agreed(search):
                    continue
                search = self._search(phase, search)
            training = self._new_training(phase, training, search)
            with stop_on_signal(self._answer_stop) as stop:  # elsewhere there is nothing to save
                self._fit(phase, training, search, folder, state, stop)
            state = None
        assert training is not None
        return training, search

    def _tell(self, stage: str) -> None:
        self.progress(sign_of_life(stage))

    def _answer_stop(self) -> None:
        self._tell("stopping after this step; Ctrl-C again stops at once")

    def _judge(self, training: Training, before: Search) -> Search:
        """Adds the restarts of a round to those of the rounds before; their networks are needed no more."""
        self._tell("judging the restarts")
        judged = judge(_candidates(training).eval(), self.constraint, self.loader, self.recipe)
        return replace(before, judged=before.judged.joined(judged) if before.judged else judged)

    def _agreed(self, search: Search) -> bool:
        """Whether the restarts judged so far make another round needless."""
        assert search.judged is not None
        return choose(search.judged, self.recipe)[0].agreed

    def _search(self, phase: Phase, before: Search) -> Search:
        """The phase's teacher: the restarts trained before, for the student; the images' shapes, where they matched."""
        if phase.round == STUDENT:
            assert before.judged is not None
            selection, targets = choose(before.judged, self.recipe)
            check_not_collapsed(before.judged, selection)
            return replace(before, targets=targets, selection=selection)
        if self.recipe.matching and before.matched is None:

            def swept(sweep: int, sweeps: int) -> None:
                self.progress(sign_of_life("matching", sweep, sweeps))

            self._tell("matching")
            matched, targets = match(self.constraint, self.loader, self.recipe, swept)
            return Search(targets, matched)
        return before

    def _new_training(self, phase: Phase, before: Training | None, search: Search) -> Training:
        """Networks to train, with an optimiser and a random stream of their own."""
        stage = phase.stage
        model = self._new_candidates(phase, before, search)
        rules = [*model.own_rules.parameters()]
        networks = [parameter for name, parameter in model.named_parameters() if not name.startswith("own_rules.")]
        optimizer = torch.optim.Adam(
            [{"params": networks, "weight_decay": stage.l2}] + [{"params": rules}] * bool(rules),
            lr=stage.learning_rate(0),
            betas=(0.9, 0.999),
            fused=True,
        )
        generator = torch.Generator(self.device).manual_seed(phase.seed)
        average = moving_average(model, stage.ema)
        return Training(model, optimizer, generator, average, chains=self._chains(phase, model, generator))

    def _new_candidates(self, phase: Phase, before: Training | None, search: Search) -> Candidates:
        """Fresh networks, or in a later cycle those of the cycle before with fresh heads.

        Probabilities of the rule start as the program says; the student's start from those of the best restart.
        """
        rule = self.constraint.state_dict()
        if before:
            model = _candidates(before)
            model.redraw_heads(phase.seed)
        else:
            restarts = 1 if phase.round == STUDENT else self.recipe.restarts
            dim = self.recipe.dim if phase.stage.weights.used("embeddings") else None
            build = self.recipe.build(phase.stage)
            model = Candidates(self.shapes, restarts, phase.seed, build, dim, self.constraint)
        if search.judged and search.selection:
            rule = search.judged.rules[search.selection.best]
        for own in model.own_rules:
            own.load_state_dict(rule)
        return model.to(self.device)

    def _chains(self, phase: Phase, model: Candidates, generator: torch.Generator) -> dict[str, Chains]:
        """The chains of each network where L_GEN is on."""
        settings, ground = self.recipe.sampler, self.loader.ground
        if settings is None or phase.stage.weights.gen.is_zero:
            return {}
        size, low, high = self.loader.inputs.shape[2:], self.scale.low, self.scale.high
        sgld, renew = build_sgld(settings, self.scale, ground), warp_some(settings.warp, ground)
        chains = {}
        for k, (name, of) in enumerate(self.shapes.items()):
            if settings.ahead:  # what runs beside a step must not share its source of randomness
                generator = torch.Generator(self.device).manual_seed(CHAINS_SEED + phase.seed + k)
            shape = (of.images, *size)
            buffer = ReplayBuffer(settings.buffer, shape, low, high, settings.reinit, generator, self.device)
            net = model.networks(0)[name]
            chains[name] = Chains(net, sgld, buffer, settings.chains, generator, ahead=settings.ahead, renew=renew)
        return chains

    def _fit(
        self,
        phase: Phase,
        training: Training,
        search: Search,
        folder: RunFolder,
        state: Mapping[str, Any] | None,
        stop: StopRequest,
    ) -> None:
        """One phase to its end, from the checkpoint's state if there is one, logging and saving on the way."""
        losses = StepLosses(
            self.recipe, phase.stage, self.constraint, self.loader, training, phase.seed, search.targets
        )
        save, rollback = partial(self._save, phase, training, search, folder), self.rollback
        rollback.begin(phase.name, training)
        if state:
            restore(training, state["training"], folder)
            with fitting(folder):
                rollback.load_state_dict(state.get("rollback", rollback.state_dict()))  # older runs kept nothing
        else:
            save()
        self.progress(sign_of_life(phase.name, training.step, losses.steps))
        while training.step < losses.steps:
            folder.rewind_metrics(lambda row: row["stage"] != phase.name or row["step"] <= training.step)
            saver = Saver(save, self.recipe.checkpoint_seconds, stop)
            watchers = (rollback.keep, self._logger(phase, losses, folder), saver)
            rate = phase.stage.learning_rate.scaled(rollback.factor)
            try:
                fit(training, losses.objective, losses, steps=losses.steps, learning_rate=rate, watchers=watchers)
            except (DivergedError, FloatingPointError) as error:
                rollback.go_back(training, error)
        save()

    def _save(self, phase: Phase, training: Training, search: Search, folder: RunFolder) -> None:
        place = {"phase": phase.number, "training": training.state_dict(), "seconds": self.seconds}
        folder.save_checkpoint(place | {"search": _search_state(search), "rollback": self.rollback.state_dict()})

    def _logger(self, phase: Phase, losses: StepLosses, folder: RunFolder) -> Logger:
        """Puts the phase's rows into the folder and tells them to whoever watches."""

        def write(row: dict[str, Any]) -> None:
            returns = {"returns": len(self.rollback.returns)} if self.rollback.returns else {}
            row = row | {"seconds": round(self.seconds, 2)} | returns
            folder.append_metrics(row)
            self.progress(row)

        def found() -> dict[str, Diagnosis]:
            with evaluating(losses.candidates):
                return diagnose_networks(losses.candidates.networks(0), self.constraint, self.loader)

        certain = [other for other in self.phases[phase.number + 1 :] if other.round in (phase.round, STUDENT)]
        later = self._steps(certain)
        every, objective = self.recipe.log_every, losses.objective
        return Logger(phase.name, losses.steps, later, every, objective, found, write, self.progress)

    def _finish(self, folder: RunFolder, training: Training, search: Search) -> Run:
        """Evaluate, then write the model, the pictures and, last of all, the summary that marks the run as finished."""
        seconds = round(self.seconds, 2)
        self._tell("evaluating")
        trained = _candidates(training)
        rule, networks = trained.rules(self.constraint)[0], trained.networks(0)
        run = Run(folder, self.recipe, rule, networks, self.device, self.loader.ground)
        figures, scores = self._evaluate(run)
        diagnoses = diagnose_networks(run.networks, run.constraint, self.loader)
        energies = check_energies(run.networks, self.loader, self.recipe)
        learnt = run.probabilities
        readings_left = readings(self.constraint, self.recipe)
        results = {
            **figures,
            **({"probabilities": learnt} if learnt else {}),
            "certificate": certificate(diagnoses, search.matched, search.selection, readings_left, energies),
            **_in_plain_values(search),
            "familiarity": familiarity_quantiles(run, self.loader),
            **({"returns": self.rollback.returns} if self.rollback.returns else {}),
        }
        summary = self._settings(folder, search.selection) | results | {"seconds": seconds} | provenance(self.device)
        run.save()
        self._tell("drawing the pictures")
        draw_pictures(run, summary, scores, self.loader)
        folder.write_json("summary.json", summary)
        return run

    def _settings(self, folder: RunFolder, selection: Selection | None) -> dict[str, Any]:
        """What was run, for summary.json."""
        rounds = len(selection.nll) // self.recipe.restarts if selection else 1
        return {
            **({"notice": NOT_MNIST} if self.recipe.dataset in ("digits", "digits+operators") else {}),
            "command": f"gedi-nesy train --recipe {folder / 'config.toml'}",
            "track": "rule",
            "recipe": self.recipe.recipe,
            "method": self.recipe.method,
            "dataset": self.images.name if self.images else Path(str(self.recipe.data)).stem,
            **({"table": self.recipe.data} if self.recipe.data else {}),
            "program": self.recipe.program,
            "examples": self.recipe.examples,
            "images_reused": self.examples.reused,
            "seed": self.recipe.seed,
            "steps": self._steps(phase for phase in self.phases if phase.round <= rounds),
        }

    def _steps(self, phases: Iterable[Phase]) -> int:
        """The optimiser steps of these phases."""
        return sum(phase.stage.length(len(self.loader), self.loader.calls_each) for phase in phases)

    def _evaluate(self, run: Run) -> tuple[dict[str, Any], dict[str, Scores]]:
        """The test figures; without labelled images only how the rule fares on the training examples."""
        if self.images:
            return evaluate_networks(run.networks, run.constraint, self.images, self.scale, self.device)
        return score_rows(run.networks, run.constraint, self.loader, "train_"), {}


def _candidates(training: Training) -> Candidates:
    result = training.result
    assert isinstance(result, Candidates)
    return result


def _search_state(search: Search) -> dict[str, Any]:
    judged = search.judged if search.selection is None else None  # a student that has begun needs them no more
    return {"targets": search.targets, "judged": vars(judged) if judged else None} | _in_plain_values(search)


def _in_plain_values(search: Search) -> dict[str, Any]:
    """What matching and the restarts came to."""
    matched, selection = search.matched, search.selection
    return {
        "matching": matched.to_dict() if matched else None,
        "restarts": selection.to_dict() if selection else None,
    }


def _read_search(state: Mapping[str, Any] | None) -> Search:
    saved = state["search"] if state else None
    if not saved:
        return Search()
    matched = Matched(**saved["matching"]) if saved["matching"] else None
    judged = Judged(**saved["judged"]) if saved.get("judged") else None  # runs without rounds saved none
    return Search(saved["targets"], matched, judged, Selection(**saved["restarts"]) if saved["restarts"] else None)
