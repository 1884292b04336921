"""One process's work on a run of the vision track: learning from wherever the checkpoint left it, then the results."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from gedi_nesy.core.fit import DivergedError, Training, Watcher
from gedi_nesy.core.objective import Diagnosis
from gedi_nesy.data.points import Points
from gedi_nesy.device import cpu_threads
from gedi_nesy.errors import UserError
from gedi_nesy.runs import RunFolder, StopRequest, provenance, stop_on_signal
from gedi_nesy.vision.certificate import Choice, certificate, diagnose_networks
from gedi_nesy.vision.learner import Learner, Stand, new_networks
from gedi_nesy.vision.network import Networks, pick_networks
from gedi_nesy.vision.picture import Snapshot, draw_pictures
from gedi_nesy.vision.recipe import Recipe
from gedi_nesy.vision.run import Run
from gedi_nesy.watch import Interrupted, Logger, Saver, restore

SNAPSHOTS = 3  # of each stage, for the pictures of training
Progress = Callable[[dict[str, Any]], None]


class Session:
    """One process's work on a run, or on the runs of several seeds that are trained side by side.

    Args:
        recipe: every setting.
        data: the points of each seed.
        progress: told the row of each logged step.

    Raises:
        UserError: if the settings and the points don't go together.
    """

    def __init__(self, recipe: Recipe, data: Sequence[Points], progress: Progress) -> None:
        clusters = recipe.clusters or data[0].classes
        if clusters is None:
            raise UserError(f"{recipe.dataset} has no labels to count; say how many clusters with --set clusters=...")
        self.recipe, self.data, self.progress, self.clusters = recipe, data, progress, clusters
        self.learner = Learner(recipe, [points.x_train for points in data], clusters)
        self.snapshots: list[Snapshot] = []
        self.before = 0.0  # seconds that earlier processes spent on this run
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """What the run has taken so far, over all its processes."""
        return self.before + time.monotonic() - self.started

    def run(self, folder: RunFolder) -> list[Run]:
        """Train what is left of the run, evaluate it and write its results; of several seeds, each in a folder below.

        Raises:
            Interrupted: when a stop was asked for, with the folder's path; the state is saved.
            UserError: when training diverged.
        """
        with folder.locked(), stop_on_signal() as stop, cpu_threads(self.recipe.threads):
            state = folder.load_checkpoint(self.learner.device)
            if state:
                self.before = state["seconds"]
                self.snapshots = [Snapshot(**values) for values in state["snapshots"]]
            try:
                networks, choices = self._learn(folder, state, stop)
            except Interrupted as stopped:
                raise Interrupted(folder.path) from stopped
            except (DivergedError, FloatingPointError) as error:
                raise UserError(
                    f"Training diverged ({error}); {folder.path} keeps the last good checkpoint. Start a new run with "
                    f"smaller learning rates, for example --set train.learning_rate=0.0001."
                ) from error
            return self._finish(folder, networks, choices)

    def _learn(
        self, folder: RunFolder, state: Mapping[str, Any] | None, stop: StopRequest
    ) -> tuple[Networks, list[Choice]]:
        def put_back(training: Training, saved: Mapping[str, Any]) -> None:
            restore(training, saved, folder)

        return self.learner.learn(partial(self._watch, folder, stop), state, put_back)

    def _watch(self, folder: RunFolder, stop: StopRequest, stand: Stand) -> list[Watcher]:
        """What happens after each step of a phase: snapshots, rows of metrics.jsonl, checkpoints."""
        name, steps, start = stand.phase.name, stand.phase.stage.steps, stand.training.step
        places = {phase.name: phase.number for phase in self.learner.phases}
        folder.rewind_metrics(lambda row: (places[row["stage"]], row["step"]) <= (stand.phase.number, start))

        def save() -> None:
            shots = [vars(shot) for shot in self.snapshots]
            folder.save_checkpoint(stand.state_dict() | {"snapshots": shots, "seconds": self.seconds})

        def write(row: dict[str, Any]) -> None:
            row = row | {"seconds": round(self.seconds, 2)}
            folder.append_metrics(row)
            self.progress(row)

        def found() -> dict[str, Diagnosis]:
            return self._best_diagnosis(stand.losses.networks)

        def snap(training: Training, losses: Mapping[str, Tensor], total: float) -> None:
            if training.step in {1 + (steps - 1) * k // (SNAPSHOTS - 1) for k in range(SNAPSHOTS)}:
                weights = {key: value.clone() for key, value in training.result.state_dict().items()}
                self.snapshots.append(Snapshot(name, training.step, weights))

        if start == 0:
            save()
        later = sum(phase.stage.steps for phase in self.learner.phases[stand.phase.number + 1 :])
        logger = Logger(name, steps, later, self.recipe.log_every, stand.losses.objective, found, write)
        return [snap, logger, Saver(save, self.recipe.checkpoint_seconds, stop)]

    def _best_diagnosis(self, networks: Networks) -> dict[str, Diagnosis]:
        """Of the first seed's best restart at present."""
        restarts = networks.count // len(self.data)
        return {"best": min(diagnose_networks(networks, self.learner.inputs)[:restarts], key=lambda d: d.certificate)}

    def _finish(self, folder: RunFolder, networks: Networks, choices: Sequence[Choice]) -> list[Run]:
        """Evaluate, then write models, pictures and, last of all, the summary that marks a run as finished."""
        seconds = round(self.seconds / len(self.data), 2)
        diagnoses = diagnose_networks(networks, self.learner.inputs)
        history = folder.read_metrics()
        runs = []
        for k, (choice, diagnosis) in enumerate(zip(choices, diagnoses, strict=True)):
            run = self._build_run(folder, networks, k)
            figures = run.score(self.data[k])
            results = {
                "certificate": certificate(diagnosis, choice),
                "restarts": {"best": choice.best, "D": choice.certificates},
                "steps": sum(phase.stage.steps for phase in self.learner.phases),
                "seconds": seconds,  # of several seeds trained side by side, each one's share
                **provenance(self.learner.device),
            }
            summary = self._settings(folder, k) | figures | results
            run.save()
            draw_pictures(run, summary, self.data[k], history, self._snapshots_of(k, choice))
            run.folder.write_json("summary.json", summary)
            runs.append(run)
        if len(runs) > 1:
            folder.write_json("summary.json", self._summarise(runs))
        return runs

    def _build_run(self, folder: RunFolder, networks: Networks, k: int) -> Run:
        """The k-th seed's run, in its own folder where there are several."""
        recipe = self.recipe
        if len(self.data) > 1:
            recipe = recipe.model_copy(update={"seed": recipe.seed + k, "seeds": 1})
            folder = RunFolder(folder / f"seed{recipe.seed}")
            folder.path.mkdir(exist_ok=True)
            folder.write("config.toml", recipe.to_toml())
        scale, inputs = self.learner.scales[k], self.learner.inputs.x.shape[-1]
        network = new_networks(recipe, 1, inputs, self.clusters, 0).to(self.learner.device)
        network.load_state_dict(pick_networks(networks.state_dict(), [k]))
        return Run(folder, recipe, network, scale, self.learner.box)

    def _snapshots_of(self, k: int, choice: Choice) -> list[Snapshot]:
        """The snapshots of the network that became the k-th seed's."""
        seeds = len(self.data)
        picked = []
        for shot in self.snapshots:
            networks = len(next(iter(shot.weights.values())))
            which = k if networks == seeds else k * (networks // seeds) + choice.best
            picked.append(Snapshot(shot.stage, shot.step, pick_networks(shot.weights, [which])))
        return picked

    def _settings(self, folder: RunFolder, k: int) -> dict[str, Any]:
        """What was run, for summary.json."""
        return {
            "command": f"gedi-nesy vision train --recipe {folder / 'config.toml'}",
            "recipe": self.recipe.recipe,
            "method": self.recipe.method,
            "dataset": self.data[k].name,
            "examples": len(self.data[k].x_train),
            "seed": self.recipe.seed + k,
            "seeds_side_by_side": len(self.data),
        }

    def _summarise(self, runs: Sequence[Run]) -> dict[str, Any]:
        """The figures of several seeds in one place."""
        summaries = [run.summary for run in runs]
        figures = ("nmi", "ami", "cluster_accuracy", "log_likelihood", "kde_log_likelihood", "seconds")
        kept = [key for key in figures if key in summaries[0]]
        rows = [{key: one[key] for key in ("seed", *kept, "certificate", "restarts")} for one in summaries]
        return {
            **{key: summaries[0][key] for key in ("command", "recipe", "method", "dataset", "examples", "steps")},
            "median": {key: statistics.median(one[key] for one in summaries) for key in kept},
            "certified": sum(one["certificate"]["certified"] for one in summaries),
            "seeds": rows,
            "seconds": round(self.seconds, 2),
            **provenance(self.learner.device),
        }
