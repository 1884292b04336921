"""What a finished training of the vision track leaves behind: runs with their figures, models and pictures."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from gedi_nesy.core import processes
from gedi_nesy.core.energy_check import EnergyCheck
from gedi_nesy.core.fit import Training
from gedi_nesy.data.points import Points
from gedi_nesy.report.words import SECTIONS, TEST
from gedi_nesy.runs.folder import RunFolder, provenance
from gedi_nesy.runs.session import Session
from gedi_nesy.vision.certificate import Choice, certify
from gedi_nesy.vision.energies import check_energies
from gedi_nesy.vision.image_network import ImageNetworks
from gedi_nesy.vision.learner import Learner
from gedi_nesy.vision.network import pick_networks
from gedi_nesy.vision.networks import AnyNetworks, new_networks
from gedi_nesy.vision.picture import draw_pictures
from gedi_nesy.vision.recipe import Recipe
from gedi_nesy.vision.run import Run
from gedi_nesy.vision.snapshots import Snapshot, Snapshots
from gedi_nesy.vision.views import ImageInputs


class Results:
    """Evaluates what was trained and writes its results; of several seeds, each in a folder below.

    Args:
        session: whose folder, returns and seconds.
        recipe: every setting.
        learner: what was trained.
        data: the points or images of each seed.
        snapshots: of the training.
    """

    def __init__(
        self, session: Session, recipe: Recipe, learner: Learner, data: Sequence[Points], snapshots: Snapshots
    ) -> None:
        self.session, self.recipe, self.learner, self.data, self.snapshots = session, recipe, learner, data, snapshots

    def write(self, training: Training) -> list[Run]:
        """Evaluate, then write models, pictures and, last of all, the summary that marks a run as finished."""
        folder = self.session.folder
        networks, choices = self.learner.result(training)
        seconds = round(self.session.seconds / len(self.data), 2)  # with seeds side by side, each one's share
        runs = [self._build_run(folder, networks, k) for k in range(len(self.data))]
        if processes.rank() == 0:
            self.session.tell("evaluating")
            verdicts = certify(networks, self.learner.inputs, choices, self._check_energies(networks))
            for k, (choice, verdict) in enumerate(zip(choices, verdicts, strict=True)):
                self._write_results(folder, runs[k], k, choice, {"certificate": verdict, "seconds": seconds})
            if len(runs) > 1:
                folder.write_json("summary.json", self._summarise(runs))
        processes.anyone(True)  # the others wait until everything is written
        return runs

    def _check_energies(self, networks: AnyNetworks) -> list[EnergyCheck | None]:
        """Of images, where L_GEN was on."""
        inputs = self.learner.inputs
        if not (isinstance(networks, ImageNetworks) and isinstance(inputs, ImageInputs)):
            return []
        if not self.recipe.has_energy_model:
            return []
        self.session.tell("checking the energies")
        return check_energies(networks, inputs, self.recipe)

    def _write_results(self, folder: RunFolder, run: Run, k: int, choice: Choice, facts: Mapping[str, Any]) -> None:
        """Everything that the k-th seed's folder holds when it is finished."""
        returns = self.session.rollback.returns
        summary = {
            **self._settings(folder, k),
            **run.score(self.data[k]),
            "certificate": facts["certificate"],
            "restarts": {"best": choice.best, "D": choice.certificates},
            "steps": sum(phase.steps for phase in self.learner.phases),
            "seconds": facts["seconds"],
            **({"returns": returns} if returns else {}),
            **provenance(self.learner.device),
        }
        history = [self._row_of(row, k, choice) for row in folder.read_metrics() if "return" not in row]
        if len(self.data) > 1:
            folder.subfolder(run.folder.path.name)
            run.folder.write("config.toml", run.recipe.to_toml())
        run.save()
        self.session.tell("drawing the pictures")
        draw_pictures(run, summary, self.data[k], history, self._snapshots_of(k, choice))
        run.folder.write_json("summary.json", summary)

    def _build_run(self, folder: RunFolder, networks: AnyNetworks, k: int) -> Run:
        """The k-th seed's run, in its own folder where there are several."""
        recipe = self.recipe
        if len(self.data) > 1:
            recipe = recipe.model_copy(update={"seed": recipe.seed + k, "seeds": 1})
            folder = RunFolder(folder / f"seed{recipe.seed}")
        network = new_networks(recipe, 1, self.learner.inputs.shape, self.learner.clusters, 0).to(self.learner.device)
        network.load_state_dict(networks.pick([k]))
        return Run(folder, recipe, network, self.learner.scales[k], self.learner.box, self.learner.ground)

    def _snapshots_of(self, k: int, choice: Choice) -> list[Snapshot]:
        """The snapshots of the network that became the k-th seed's."""
        picked = []
        for shot in self.snapshots.taken:
            which = self._which(len(next(iter(shot.weights.values()))), k, choice)
            picked.append(Snapshot(shot.stage, shot.step, pick_networks(shot.weights, [which])))
        return picked

    def _row_of(self, row: dict[str, Any], k: int, choice: Choice) -> dict[str, Any]:
        """A row of metrics.jsonl with the losses of the network that became the k-th seed's, not the mean of all."""
        own = {name: values[self._which(len(values), k, choice)] for name, values in row.get("each", {}).items()}
        return row | {"loss": row["loss"] | own}

    def _which(self, networks: int, k: int, choice: Choice) -> int:
        """Which of so many networks is the k-th seed's, or, where each seed has several, the one that was chosen."""
        seeds = len(self.data)
        return k if networks == seeds else k * (networks // seeds) + choice.best

    def _settings(self, folder: RunFolder, k: int) -> dict[str, Any]:
        """What was run, for summary.json."""
        return {
            "command": f"gedi-nesy vision train --recipe {folder / 'config.toml'}",
            "recipe": self.recipe.recipe,
            "method": self.recipe.method,
            "track": self.recipe.track,
            "dataset": self.data[k].name,
            "examples": len(self.data[k].x_train),
            "seed": self.recipe.seed + k,
            "seeds_side_by_side": len(self.data),
        }

    def _summarise(self, runs: Sequence[Run]) -> dict[str, Any]:
        """The figures of several seeds in one place."""
        summaries = [run.summary for run in runs]
        kept = [key for key in (*SECTIONS[TEST], "seconds") if key in summaries[0]]
        rows = [{key: one[key] for key in ("seed", *kept, "certificate", "restarts")} for one in summaries]
        return {
            **{key: summaries[0][key] for key in ("command", "recipe", "method", "dataset", "examples", "steps")},
            "median": {key: statistics.median(one[key] for one in summaries) for key in kept},
            "certified": sum(one["certificate"]["certified"] for one in summaries),
            "seeds": rows,
            "seconds": round(self.session.seconds, 2),
            **provenance(self.learner.device),
        }
