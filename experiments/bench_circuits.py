"""Circuits of KLay's repository, evaluated by our engine and by KLay: values, gradients and time.

Its .sdd files (experiments/nesy/circuits) are looked for in klay-circuits of --data-dir. One thread; they take turns.
"""

from pathlib import Path
from typing import Any

import click
import klay
import torch
from bench_inference import take_turns
from common import FILE, Script, out_option, write_result
from torch import Tensor

from gedi_nesy.logic.boolean_circuit import read_sdd


def compare(path: Path, batch: int, rounds: int) -> dict[str, Any]:
    """One circuit: the largest differences in value and gradient, in double precision, and forward and backward in
    single precision, milliseconds."""
    ours, theirs = read_sdd(path), klay.Circuit()
    theirs.add_sdd_from_file(str(path))
    module = theirs.to_torch_module(semiring="log", compile=False)

    def by_klay(positive: Tensor, negative: Tensor) -> Tensor:
        return module(positive, negative)[:, 0]

    logits = torch.randn(batch, ours.variables, dtype=torch.float64, requires_grad=True)
    positive, negative = logits.sigmoid().log(), (-logits).sigmoid().log()
    values = ours.log_prob(positive, negative), by_klay(positive, negative)
    gradients = [torch.autograd.grad(value.sum(), logits, retain_graph=True)[0] for value in values]
    single = torch.randn(batch, ours.variables, requires_grad=True)

    def step(evaluate: Any) -> Any:
        signs = torch.nn.functional.logsigmoid
        return lambda: (-evaluate(signs(single), signs(-single)).mean()).backward()

    times = take_turns({"ours": step(ours.log_prob), "KLay": step(by_klay)}, rounds)
    return {
        "variables": ours.variables,
        "sums": ours.size,
        "layers": len(ours.layout.blocks),
        "value_difference": (values[0] - values[1]).abs().max().item(),
        "gradient_difference": (gradients[0] - gradients[1]).abs().max().item(),
        "milliseconds": times,
    }


@click.command(cls=Script)
@click.option("--data-dir", type=FILE, envvar="GEDI_NESY_DATA", required=True, help="Where klay-circuits lies.")
@click.option("--batch", default=60, show_default=True, help="Examples.")
@click.option("--rounds", default=7, show_default=True, help="Turns of each contestant.")
@out_option("bench_circuits.json")
def main(data_dir: Path, batch: int, rounds: int, out: Path) -> None:
    """Measure, print and store."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    table = {path.stem: compare(path, batch, rounds) for path in sorted((data_dir / "klay-circuits").glob("*.sdd"))}
    for name, row in table.items():
        times, differences = row["milliseconds"], (row["value_difference"], row["gradient_difference"])
        print(
            f"{name:10} {row['variables']:4} variables {row['sums']:5} sums  ours {times['ours']:8.3f} ms  KLay "
            f"{times['KLay']:8.3f} ms  value {differences[0]:.1e}  gradient {differences[1]:.1e}"
        )
    write_result(out, {"batch": batch, "circuits": table})


if __name__ == "__main__":
    main()
