"""What a finished training on a rule leaves behind: a run with its figures, model and pictures."""

from functools import partial
from pathlib import Path
from typing import Any

from gedi_nesy.core import processes
from gedi_nesy.core.fit import Training
from gedi_nesy.data import Images
from gedi_nesy.nesy.certificate import certificate, named_by_labels, over_queries, readings, readings_seen
from gedi_nesy.nesy.energies import check_energies
from gedi_nesy.nesy.evaluate import Evaluation, diagnose_networks, evaluate_networks, fit_all
from gedi_nesy.nesy.familiarity import familiarity_quantiles
from gedi_nesy.nesy.learner import Learner, candidates_of
from gedi_nesy.nesy.matching import least_separation
from gedi_nesy.nesy.picture import draw_pictures
from gedi_nesy.nesy.queries import parts_of
from gedi_nesy.nesy.recipe import Recipe
from gedi_nesy.nesy.rows import row_figures
from gedi_nesy.nesy.run import Run
from gedi_nesy.nesy.support import hardly_seen, predicted_support
from gedi_nesy.runs.folder import provenance
from gedi_nesy.runs.session import Session

NOT_MNIST = "These are scikit-learn's 8x8 digits, enlarged, not MNIST: the figures say nothing about MNIST."


class Results:
    """Evaluates what was trained and writes its results.

    Args:
        session: whose folder, returns and seconds.
        recipe: every setting; its data set is `images`.
        learner: what was trained.
        images: labelled images to score on, or None where there are none.
    """

    def __init__(self, session: Session, recipe: Recipe, learner: Learner, images: Images | None):
        self.session, self.recipe, self.learner, self.images = session, recipe, learner, images

    def write(self, training: Training) -> Run:
        """Evaluate, then write the model, the pictures and, last of all, the summary that marks the run as finished."""
        learner, trained, seconds = self.learner, candidates_of(training), round(self.session.seconds, 2)
        rule, networks = trained.rules(learner.rule)[0], trained.networks(0)
        run = Run(self.session.folder, self.recipe, rule, networks, learner.device, learner.loader.readings)
        if processes.rank() == 0:
            self._write(run, seconds)
        processes.anyone(True)  # the others wait until everything is written
        return run

    def _write(self, run: Run, seconds: float) -> None:
        self.session.tell("evaluating")
        folder, learner = run.folder, self.learner
        evaluation = self._evaluate(run)
        figures = evaluation.figures | self._verdict(run)
        summary = self._settings() | figures | {"seconds": seconds} | provenance(learner.device)
        run.save()
        self.session.tell("drawing the pictures")
        draw_pictures(run, summary, evaluation, learner.loader)
        folder.write_json("summary.json", summary)

    def _verdict(self, run: Run) -> dict[str, Any]:
        """What the run can say about itself without labels."""
        learner, returns, learnt = self.learner, self.session.rollback.returns, run.probabilities
        return {
            **({"probabilities": learnt} if learnt else {}),
            "certificate": self._certificate(run),
            **learner.findings(),
            "familiarity": familiarity_quantiles(run, learner.loader),
            **({"returns": returns} if returns else {}),
        }

    def _certificate(self, run: Run) -> dict[str, Any]:
        learner, recipe = self.learner, self.recipe
        diagnoses = diagnose_networks(run.networks, learner.marginals[0], learner.loader)
        energies = check_energies(run.networks, learner.loader, recipe)
        left, seen = self._readings(run)
        least = least_separation(recipe.matching, learner.matchable[0]) if recipe.matching else 0.0
        rare = hardly_seen(run.networks, run.rule, learner.loader) if recipe.learns_prior else []
        matched, selection = learner.matched, learner.selection
        named = not matched and any(named_by_labels(part, recipe, learner.labels) for part in parts_of(learner.rule))
        return certificate(diagnoses, matched, selection, left, energies, seen, least, rare, named)

    def _readings(self, run: Run) -> tuple[int | None, int | None]:
        """How many readings the rule leaves open, and what the run sees in its examples."""
        rule, labels = self.learner.rule, self.learner.labels
        left = [readings(part, self.recipe, labels) for part in parts_of(rule)]
        supports = map(partial(predicted_support, run.networks), parts_of(run.rule), self.learner.loader.parts)
        seen = [readings_seen(*own, labels) for own in zip(parts_of(rule), supports, strict=True)]
        return over_queries(rule, left), over_queries(rule, seen)

    def _settings(self) -> dict[str, Any]:
        """What was run, for summary.json."""
        return {
            **({"notice": NOT_MNIST} if self.recipe.dataset in ("digits", "digits+operators") else {}),
            "command": f"gedi-nesy train --recipe {self.session.folder / 'config.toml'}",
            "track": self.recipe.track,
            "recipe": self.recipe.recipe,
            "method": self.recipe.method,
            "dataset": self.images.name if self.images else Path(str(self.recipe.data)).stem,
            **({"table": self.recipe.data} if self.recipe.data else {}),
            "program": self.recipe.program,
            "examples": self.recipe.examples,
            "images_reused": any(part.examples.reused for part in self.learner.loader.parts),
            "seed": self.recipe.seed,
            **self._matched_query(),
            **({} if self.recipe.unmatched is None else {"unmatched": self.recipe.unmatched}),
            "steps": self.session.time.steps,
            **self.session.time.figures(),
        }

    def _matched_query(self) -> dict[str, str]:
        """Of several queries the one that inputs were matched by."""
        if not self.recipe.matching or len(self.learner.loader.parts) == 1:
            return {}
        return {"matched_query": str(self.learner.matchable[0].query.goal)}

    def _evaluate(self, run: Run) -> Evaluation:
        """On the test images; without labelled images only how the rule fares on the training examples."""
        if self.images:
            once = self.recipe.each_once
            return evaluate_networks(run.networks, run.rule, self.images, run.readings, run.device, once)
        parts = fit_all(run.networks, run.rule, self.learner.loader, self.recipe.last)
        return Evaluation(row_figures(parts, "train_"), {}, parts)
