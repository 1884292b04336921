"""Exact inference: speed of addition beside DeepProbLog, KLay and closed forms.

Run `python experiments/bench_inference.py`: it prints its table and stores it in experiments/results/. One thread; the
contestants take turns. How inference grows with a rule's size is measured by growth.py. With `--device cuda` the rule
and the closed forms are timed on a GPU, in larger batches too, by the clock; the table is stored under another name.
"""

import statistics
import time
from collections.abc import Callable

import click
import klay
import torch
from common import RESULTS, Script, write_result
from deepproblog.engines import ExactEngine
from deepproblog.model import Model
from deepproblog.network import Network
from deepproblog.query import Query
from problog.logic import Constant, Term
from torch import Tensor, nn

from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.logic.diagram import FALSE, TRUE
from gedi_nesy.logic.program import find_program
from gedi_nesy.networks.mnist_net import MNIST_Net

BATCHES = (20, 60, 1024, 16384)  # the first two on the CPU
PAIRS = torch.tensor([(a, b) for a in range(10) for b in range(10 - a)])


def closed_form(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """log P(addition) as a convolution in log space, [batch]."""
    padded = nn.functional.pad(y.flip(1), (0, 9), value=-torch.inf)
    shifted = padded.as_strided((len(y), 10, 10), (19, 1, 1)).flip(1)  # [batch, sum, a]: y[sum - a]
    return ((x.unsqueeze(1) + shifted).logsumexp(2) + z).logsumexp(1)


def table_of_solutions(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """log P(addition) as a sum over its 55 solutions, [batch]."""
    a, b = PAIRS.to(x.device, non_blocking=True).unbind(1)
    return (x[:, a] + y[:, b] + z[:, a + b]).logsumexp(1)


def klay_on_our_diagram(rule: Constraint) -> Callable[..., Tensor]:
    """KLay's own layers over the same decision diagram."""
    diagram, circuit = rule.diagram, klay.Circuit()
    nodes = {FALSE: circuit.false_node(), TRUE: circuit.true_node()}
    for node in diagram.nodes.reachable([diagram.root]):
        first = 10 * diagram.order[diagram.nodes.level[node]] + 1
        edges = [(value, child) for value, child in enumerate(diagram.nodes.children[node]) if child != FALSE]
        nodes[node] = circuit.or_node(
            [circuit.and_node([circuit.literal_node(first + value), nodes[child]]) for value, child in edges]
        )
    circuit.set_root(nodes[diagram.root])
    module = circuit.to_torch_module(semiring="log", compile=False)

    def evaluate(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        literals = torch.cat([x, y, z], 1)
        return module(literals, torch.zeros_like(literals))[:, 0]

    return evaluate


class DeepProbLog:
    """DeepProbLog's solver with a cached circuit, one query after the other."""

    def __init__(self, network: nn.Module) -> None:
        self.images: dict[tuple[Constant, ...], Tensor] = {}
        self.model = Model(str(find_program("addition")), [Network(network, "digits", batching=True)])
        self.model.set_engine(ExactEngine(self.model), cache=True)
        self.model.add_tensor_source("image", self.images)

    def __call__(self, triples: Tensor) -> Tensor:
        """log P(addition) of triples [batch, 3, ...]."""
        names, results = [Term(name) for name in "abc"], []
        self.images.update({(Constant(i),): image for i, image in enumerate(triples.flatten(0, 1))})
        for i in range(len(triples)):
            images = [Term("tensor", Term("image", Constant(3 * i + j))) for j in range(3)]
            (answer,) = self.model.solve([Query(Term("addition", *names), dict(zip(names, images, strict=True)))])
            results.append(next(iter(answer.result.values())))
        return torch.stack(results).log()


def take_turns(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU time of each in milliseconds, the fast ones 20 at a time."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            repeats = 1 if name.startswith("DeepProbLog") else 20
            start = time.process_time()
            for _ in range(repeats):
                run()
            if turn:  # the first one warms up
                times[name].append((time.process_time() - start) / repeats * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def speed_on(device: torch.device, batch: int, rounds: int) -> dict[str, float]:
    """Forward and backward of addition on a GPU, milliseconds by the clock; KLay and DeepProbLog are left out."""
    rule = Constraint.from_file("addition")
    logits = torch.randn(batch, 3, 10, device=device, requires_grad=True)

    def ours(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return rule.log_prob({"X": x, "Y": y, "Z": z})

    def milliseconds(log_prob: Callable[..., Tensor]) -> float:
        times = []
        for _ in range(rounds + 1):
            start = time.perf_counter()
            for _ in range(20):
                (-log_prob(*logits.log_softmax(-1).unbind(1)).mean()).backward()
            torch.cuda.synchronize(device)
            times.append((time.perf_counter() - start) / 20 * 1e3)
        return statistics.median(times[1:])

    contestants = {"closed form": closed_form, "table of solutions": table_of_solutions, "ours": ours}
    return {name: milliseconds(log_prob) for name, log_prob in contestants.items()}


def speed(batch: int, rounds: int) -> dict[str, float]:
    """Forward and backward of addition, milliseconds."""
    rule = Constraint.from_file("addition")
    by_klay = klay_on_our_diagram(rule)
    logits = torch.randn(batch, 3, 10, requires_grad=True)
    images, network = torch.randn(batch, 3, 1, 28, 28), MNIST_Net()
    solver, solver_with_network = DeepProbLog(nn.Identity()), DeepProbLog(nn.Sequential(network, nn.Softmax(-1)))

    def step(log_prob: Callable[..., Tensor]) -> Callable[[], None]:
        return lambda: (-log_prob(*logits.log_softmax(-1).unbind(1)).mean()).backward()

    def ours(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return rule.log_prob({"X": x, "Y": y, "Z": z})

    def with_network() -> None:
        outputs = network(images.flatten(0, 1)).log_softmax(-1).view(batch, 3, 10)
        (-ours(*outputs.unbind(1)).mean()).backward()

    return take_turns(
        {
            "closed form": step(closed_form),
            "table of solutions": step(table_of_solutions),
            "ours": step(ours),
            "KLay on our diagram": step(by_klay),
            "ours with MNIST_Net": with_network,
            "DeepProbLog": lambda: (-solver(logits.softmax(-1)).mean()).backward(),
            "DeepProbLog with MNIST_Net": lambda: (-solver_with_network(images).mean()).backward(),
        },
        rounds,
    )


@click.command(cls=Script)
@click.option("--rounds", default=7, show_default=True, help="Turns of each contestant.")
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda.")
def main(rounds: int, device: str) -> None:
    """Measure, print and store."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    on_gpu = torch.device(device).type == "cuda"
    table: dict[str, dict[str, float]] = {}
    for batch in BATCHES if on_gpu else BATCHES[:2]:
        times = speed_on(torch.device(device), batch, rounds) if on_gpu else speed(batch, rounds)
        table[str(batch)] = times
        yardstick = times["closed form" if on_gpu else "DeepProbLog"]
        for name, milliseconds in times.items():
            print(f"batch {batch:5}  {name:28} {milliseconds:10.3f} ms  {yardstick / milliseconds:9.1f}x")
    write_result(RESULTS / ("inference_speed_cuda.json" if on_gpu else "inference_speed.json"), table, device)


if __name__ == "__main__":
    main()
