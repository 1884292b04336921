"""The full evaluation of a run on images: a file with all its figures, beside the figures of its training."""

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gedi_nesy.data.outliers import load_outliers
from gedi_nesy.errors import UserError
from gedi_nesy.report.words import SCORES, compared
from gedi_nesy.runs.device import cpu_threads
from gedi_nesy.vision.evaluate import default_samples, evaluate
from gedi_nesy.vision.extractor import inception_extractor
from gedi_nesy.vision.ood import ood_auroc
from gedi_nesy.vision.run import Run

ON_IMAGES = ("energy", "gradient", "max_softmax")  # the scores whose AUROC is measured


@dataclass(frozen=True)
class Evaluation:
    """How runs on images are evaluated.

    Attributes:
        samples: as `evaluate` has it.
        inception: as `evaluate` has it.
        against: as `ood_auroc` has it.
    """

    samples: int | None = None
    inception: Path | None = None
    against: tuple[str, ...] = ()

    @property
    def of_samples(self) -> dict[str, str]:
        """The keys of the figures of samples, with their labels."""
        return {} if self.samples == 0 else compared(self.how["features"])

    @property
    def of_scores(self) -> dict[str, str]:
        """The keys of the AUROC of each score against each of the foreign data sets, with their labels."""
        return {f"auroc.{name}.{key}": f"{name}, {SCORES[key]}" for name in self.against for key in ON_IMAGES}

    @property
    def file(self) -> str:
        """Its name in a run's folder: a run that is evaluated in two ways has two files."""
        return f"evaluation-{hashlib.sha256(json.dumps(self.how).encode()).hexdigest()[:8]}.json"

    def __call__(self, run: Run, data_dir: Path | None) -> None:
        """Write the file into the folder of a finished run on images; the figures of another evaluation are kept.

        `evaluation_seconds` of the file is the time that the kept figures and the new ones took.

        Raises:
            UserError: if a data set is not to be had, the file of weights is not what it should be, or another process
                is writing to the folder.
        """
        with run.folder.locked(), cpu_threads(run.recipe.threads):
            started = time.monotonic()
            past = list(_past(run))
            auroc = {name: row for one in past for name, row in one["auroc"].items() if name in self.against}
            if missing := [name for name in self.how["against"] if name not in auroc]:
                auroc |= ood_auroc(run, missing, data_dir)
            figures = next((one for one in past if self._has_all_but_auroc(one)), None)
            if figures is None:
                figures = evaluate(run, data_dir=data_dir, inception=self.inception, samples=self.how["samples"])
            seconds = round(figures.get("evaluation_seconds", 0.0) + time.monotonic() - started, 2)
            own = {"auroc": auroc, "how": self.how, "evaluation_seconds": seconds}
            run.folder.write_json(self.file, run.summary | figures | own)

    def _has_all_but_auroc(self, past: Mapping[str, Any]) -> bool:
        """Whether an evaluation has all figures of this one, the AUROC apart."""
        return {**past["how"], "against": self.how["against"]} == self.how and "samples_failed" not in past

    def check(self, data_dir: Path | None) -> None:
        """Look for the data and the weights of the evaluation before hours of training.

        Raises:
            UserError: as it would be raised afterwards.
        """
        for name in self.against:
            load_outliers(name, torch.zeros(1, 3, 8, 8, dtype=torch.uint8), data_dir)
        if self.inception:
            inception_extractor(self.inception)

    @property
    def how(self) -> dict[str, Any]:
        """What the figures depend on."""
        samples = default_samples(self.inception) if self.samples is None else self.samples
        features = "inception" if self.inception else "classifier"
        return {"samples": samples, "features": features, "against": sorted(self.against)}


def _past(run: Run) -> Iterator[dict[str, Any]]:
    """The evaluations of the run as it is, without damaged files and the evaluations of an earlier training."""
    for file in sorted(run.folder.path.glob("evaluation-*.json")):
        with contextlib.suppress(UserError):
            figures = run.folder.read_json(file.name)
            if figures["seconds"] == run.summary["seconds"]:
                yield figures
