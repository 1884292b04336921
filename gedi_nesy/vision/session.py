"""One process's work on a run of the vision track: learning from wherever the checkpoint left it, then the results."""

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from torch import Tensor

from gedi_nesy.core import processes
from gedi_nesy.core.fit import DivergedError, Training, Watcher
from gedi_nesy.core.objective import Diagnosis
from gedi_nesy.data.points import Points
from gedi_nesy.errors import UserError
from gedi_nesy.report.words import SECTIONS, TEST
from gedi_nesy.runs.callbacks import Interrupted, Logger, Progress, Saver, check_place, fitting, restore, sign_of_life
from gedi_nesy.runs.device import cpu_threads
from gedi_nesy.runs.folder import RunFolder, StopRequest, provenance, stop_on_signal
from gedi_nesy.runs.rollback import Rollback
from gedi_nesy.vision.certificate import Choice, certify, diagnose_networks
from gedi_nesy.vision.learner import Learner, Stand
from gedi_nesy.vision.network import pick_networks
from gedi_nesy.vision.networks import AnyNetworks, new_networks
from gedi_nesy.vision.picture import Snapshot, draw_pictures
from gedi_nesy.vision.recipe import Recipe
from gedi_nesy.vision.run import Run
from gedi_nesy.vision.shares import join_shares, pick_share

SNAPSHOTS = 3  # of each stage, for the pictures of training


class Session:
    """One process's work on a run, or on the runs of several seeds that are trained side by side.

    Of several processes that share a run, the first alone writes to its folder.

    Args:
        recipe: every setting.
        data: the points or images of each seed.
        progress: told the row of each logged step, and signs of life: `watch.sign_of_life`.

    Raises:
        UserError: if the settings and the points don't go together.
    """

    def __init__(self, recipe: Recipe, data: Sequence[Points], progress: Progress) -> None:
        self.started = time.monotonic()
        clusters = recipe.clusters or data[0].classes
        if clusters is None:
            raise UserError(f"{recipe.dataset} has no labels to count; say how many clusters, as --set clusters=5.")
        if clusters < 2:
            raise UserError(f"One cluster of {recipe.dataset} is nothing to learn; ask for more, as --set clusters=5.")
        self.recipe, self.data, self.progress, self.clusters = recipe, data, progress, clusters
        self.learner = Learner(recipe, [points.x_train for points in data], clusters)
        self.snapshots: list[Snapshot] = []
        self.before = 0.0  # seconds that earlier processes spent on this run

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
        with self._locked(folder), cpu_threads(self.recipe.threads):
            state = folder.load_checkpoint(self.learner.device)
            check_place(state, len(self.learner.phases), folder)
            with fitting(folder):
                state = pick_share(state)
                if state:
                    self._check_choices(state)
                    self.before = state["seconds"]
                    self.snapshots = [Snapshot(**values) for values in state["snapshots"]]
            try:
                with stop_on_signal(self._answer_stop) as stop:
                    networks, choices = self._learn(folder, state, stop)
                return self._finish(folder, networks, choices)
            except (Interrupted, KeyboardInterrupt) as stopped:
                raise Interrupted(folder.path) from stopped
            except DivergedError as error:
                half = max(rate for _, rate in self.recipe.train.learning_rate.points) / 2
                raise UserError(
                    f"Training diverged ({error}); {folder.path} keeps the last good checkpoint. Start a new run with "
                    f"smaller learning rates, for example --set train.learning_rate={half:g}."
                ) from error

    def _tell(self, stage: str) -> None:
        self.progress(sign_of_life(stage))

    def _answer_stop(self) -> None:
        self._tell("stopping after this step; Ctrl-C again stops at once")

    def _check_choices(self, state: Mapping[str, Any]) -> None:
        """ValueError, or whatever else it fails with, where a checkpoint has no choices and returns of this run."""
        Rollback(self.recipe.guard).load_state_dict(state["rollback"])
        best = [Choice(**values).best for values in state["choices"] or ()]
        if best and (len(best) != len(self.data) or not set(best) <= set(range(self.recipe.restarts))):
            raise ValueError(f"the restarts {best} were chosen")

    def _locked(self, folder: RunFolder) -> AbstractContextManager[None]:
        return folder.locked() if processes.rank() == 0 else nullcontext()

    def _learn(
        self, folder: RunFolder, state: Mapping[str, Any] | None, stop: StopRequest
    ) -> tuple[AnyNetworks, list[Choice]]:
        def put_back(training: Training, saved: Mapping[str, Any]) -> None:
            restore(training, saved, folder)

        return self.learner.learn(partial(self._watch, folder, stop), state, put_back)

    def _watch(self, folder: RunFolder, stop: StopRequest, stand: Stand) -> list[Watcher]:
        """What happens after each step of a phase: snapshots, rows of metrics.jsonl, checkpoints."""

        def save() -> None:
            shots = [vars(shot) for shot in self.snapshots]
            state = join_shares(stand.state_dict() | {"snapshots": shots, "seconds": self.seconds})
            if state:
                folder.save_checkpoint(state)

        save()
        saver = Saver(save, self.recipe.checkpoint_seconds, stop)
        if processes.rank() > 0:
            return [saver]
        self._rewind(folder, stand)
        return [*self._snapper(stand), self._logger(folder, stand), saver]

    def _rewind(self, folder: RunFolder, stand: Stand) -> None:
        """Let metrics.jsonl say what has led to where the training stands: rows up to here, and every return."""
        places = {phase.name: phase.number for phase in self.learner.phases}
        returns, now = stand.rollback.returns, (stand.phase.number, stand.training.step)

        def keep(row: dict[str, Any]) -> bool:
            return row in returns if "return" in row else (places.get(row["stage"], math.inf), row["step"]) <= now

        folder.rewind_metrics(keep)
        for entry in returns[sum("return" in row for row in folder.read_metrics()) :]:
            folder.append_metrics(entry)

    def _snapper(self, stand: Stand) -> list[Watcher]:
        """Takes the snapshots for the pictures of training, where points lie in the plane."""
        name, steps, now = stand.phase.name, stand.phase.stage.steps, stand.training.step
        self.snapshots = [shot for shot in self.snapshots if shot.stage != name or shot.step <= now]

        def snap(training: Training, losses: Mapping[str, Tensor], total: Tensor) -> None:
            if training.step in {1 + (steps - 1) * k // (SNAPSHOTS - 1) for k in range(SNAPSHOTS)}:
                weights = {key: value.clone() for key, value in training.result.state_dict().items()}
                self.snapshots.append(Snapshot(name, training.step, weights))

        return [] if self.data[0].are_images else [snap]

    def _logger(self, folder: RunFolder, stand: Stand) -> Logger:
        """Puts the phase's rows into the folder and tells them to whoever watches."""
        returns = stand.rollback.returns

        def write(row: dict[str, Any]) -> None:
            row = row | {"seconds": round(self.seconds, 2)} | ({"returns": len(returns)} if returns else {})
            folder.append_metrics(row)
            self.progress(row)

        def found() -> dict[str, Diagnosis]:
            return self._best_diagnosis(stand.losses.networks)

        later = sum(phase.stage.steps for phase in self.learner.phases[stand.phase.number + 1 :])
        steps, every = stand.phase.stage.steps, self.recipe.log_every
        return Logger(stand.phase.name, steps, later, every, stand.losses.objective, found, write, self.progress)

    def _best_diagnosis(self, networks: AnyNetworks) -> dict[str, Diagnosis]:
        """Of the first seed's best restart at present."""
        restarts = networks.count // len(self.data)
        return {"best": min(diagnose_networks(networks, self.learner.inputs)[:restarts], key=lambda d: d.certificate)}

    def _finish(self, folder: RunFolder, networks: AnyNetworks, choices: Sequence[Choice]) -> list[Run]:
        """Evaluate, then write models, pictures and, last of all, the summary that marks a run as finished."""
        seconds = round(self.seconds / len(self.data), 2)  # of several seeds trained side by side, each one's share
        runs = [self._build_run(folder, networks, k) for k in range(len(self.data))]
        if processes.rank() == 0:
            self._tell("evaluating")
            verdicts = certify(networks, self.learner.inputs, choices)
            for k, (choice, found) in enumerate(zip(choices, verdicts, strict=True)):
                self._write_results(folder, runs[k], k, choice, {"certificate": found, "seconds": seconds})
            if len(runs) > 1:
                folder.write_json("summary.json", self._summarise(runs))
        processes.anyone(True)  # the others wait until everything is written
        return runs

    def _write_results(self, folder: RunFolder, run: Run, k: int, choice: Choice, found: Mapping[str, Any]) -> None:
        """Everything that the k-th seed's folder holds when it is finished."""
        returns = self.learner.rollback.returns
        summary = {
            **self._settings(folder, k),
            **run.score(self.data[k]),
            "certificate": found["certificate"],
            "restarts": {"best": choice.best, "D": choice.certificates},
            "steps": sum(phase.stage.steps for phase in self.learner.phases),
            "seconds": found["seconds"],
            **({"returns": returns} if returns else {}),
            **provenance(self.learner.device),
        }
        history = [self._row_of(row, k, choice) for row in folder.read_metrics() if "return" not in row]
        if len(self.data) > 1:
            folder.subfolder(run.folder.path.name)
            run.folder.write("config.toml", run.recipe.to_toml())
        run.save()
        self._tell("drawing the pictures")
        draw_pictures(run, summary, self.data[k], history, self._snapshots_of(k, choice))
        run.folder.write_json("summary.json", summary)

    def _build_run(self, folder: RunFolder, networks: AnyNetworks, k: int) -> Run:
        """The k-th seed's run, in its own folder where there are several."""
        recipe = self.recipe
        if len(self.data) > 1:
            recipe = recipe.model_copy(update={"seed": recipe.seed + k, "seeds": 1})
            folder = RunFolder(folder / f"seed{recipe.seed}")
        network = new_networks(recipe, 1, self.learner.inputs.shape, self.clusters, 0).to(self.learner.device)
        network.load_state_dict(networks.pick([k]))
        return Run(folder, recipe, network, self.learner.scales[k], self.learner.box)

    def _snapshots_of(self, k: int, choice: Choice) -> list[Snapshot]:
        """The snapshots of the network that became the k-th seed's."""
        picked = []
        for shot in self.snapshots:
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
            "track": "images" if self.data[k].are_images else "points",
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
            "seconds": round(self.seconds, 2),
            **provenance(self.learner.device),
        }
