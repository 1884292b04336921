"""Throw broken programs, settings, files, run folders and command lines at the package, and count its failures.

    python experiments/fuzz.py

Every case has a seed of its own (--seed, its kind and its number), so one can be repeated alone. The cases of a kind
run in a worker process. A case fails if the package raises anything but a UserError, if a command ends with a traceback
or with an exit code other than 0, 1 and 2, if the worker dies, needs more than BUDGET seconds or 2 GB, or changes a
file outside its folder: the payloads in programs, pickles and EPS files would create one. The result goes to
experiments/results/fuzz.json.
"""

import contextlib
import gzip
import io
import json
import multiprocessing
import os
import pickle
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from click.testing import CliRunner
from common import Script, command, out_option
from PIL import Image

from gedi_nesy.cli import main as command_line
from gedi_nesy.data.idx import read_idx
from gedi_nesy.data.image_file import read_image
from gedi_nesy.data.image_folder import read_unlabelled_folder
from gedi_nesy.data.load import load_images
from gedi_nesy.data.points import load_points
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.recipe import load_recipe, recipe_names
from gedi_nesy.nesy.run import load_run
from gedi_nesy.nesy.table import read_table
from gedi_nesy.nesy.train import resume, train
from gedi_nesy.report.rewrite import rewrite_report
from gedi_nesy.runs.dotted import flatten
from gedi_nesy.runs.folder import provenance
from gedi_nesy.runs.settings import parse_setting
from gedi_nesy.vision.recipe import load_recipe as load_vision_recipe
from gedi_nesy.vision.recipe import recipe_names as vision_recipe_names

HERE = Path(__file__).parent
BUDGET = 60.0  # seconds a case, on a machine that does other work too; a rule may take one
MOST_MEMORY = 2**31  # bytes
TINY: dict[str, Any] = {
    "dataset": "digits",
    "examples": 40,
    "restarts": 1,
    "views": 1,
    "train.steps": 3,
    "student.steps": 3,
}
CASES = {
    "settings": 600,
    "tables": 350,
    "npz": 200,
    "idx": 150,
    "images": 300,
    "runs": 200,
    "programs": 120,
    "commands": 80,
}
VALUES = "-1 0 1 2 1.5 1e400 nan -inf 99999999999999999999 true x é ' [1] [[0,1],[1]] {a=1} null [/b] -- a\0b ../x "
VALUES += '/dev/zero / " \u202e 1_0  ' + "9" * 5000
WORDS = VALUES.split(" ")
GOALS = r"""X is Y; X = f(X); X < Y; X @< b; sort([b,1,a],L); findall(X,s(X),L); findall(_,_,L); once(s(X)); call(X); q
call(s,X); \+ s(X); forall(s(X),d(a,X)); between(1,inf,X); succ(X,0); length(L,N); functor(T,f,3); arg(1,f(a),X)
f(a) =.. L; atom_number('0x1F',N); append(X,Y,[1,2]); nth0(-1,[a],X); sum_list([a],S); X is 9**(9**9); X is -8**0.5
X is 1<<100000000000; X is 1/0; clause(q,B); subquery(s(1),P); numbervars(X,0); consult('/dev/zero'); erase(X)
consult('../outside/code.py'); str2int('1',X); use_module('.py'); use_module(library(nothing)); assertz(s(9))
select_uniform(1,[a,b],X,R)""".replace("\n", "; ").split("; ")
HEADS = ["0.5::q2", "1/3::q2", "nn(n,[X],Y,[0,1])::e(X,Y)", "P::q2", "t(_)::q2", "1.5::q2", ":-", "evidence(s(1))"]
RULE = "0.3::a. 0.4::s(1). 0.5::s(b). nn(n,[X],Y,[0,1,2])::d(X,Y). "
DAMAGE = [b" 1.5", b'"x"', b" null", b"NaN", b" {", b' "/x.pl"', b"\xff", b" -1", b"[]"]
FILES = ["summary.json", "metrics.jsonl", "config.toml", "program.pl", "checkpoint.pt", "model.safetensors"]
COMMANDS = ["train", "check", "evaluate", "predict", "query", "sample", "ood", "report", "recipes", "vision"]
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch CANARY) (w) file\nshowpage\n"

Case = tuple[str, Callable[[], object]]  # what it is, and what to call


class Place:
    """A scratch folder: `work` is what a case may write in, `outside` holds a file that no case may touch."""

    def __init__(self, root: Path):
        self.root, self.work, self.outside, self.run = root, root / "work", root / "outside", root / "run"
        self.canary = self.outside / "canary"
        for folder in (self.work, self.outside, root / "home", root / "tmp"):
            folder.mkdir()
        (self.outside / "sentinel").write_text("untouched")
        (self.outside / "code.py").write_text(f"open({str(self.canary)!r}, 'w')\n")
        os.environ |= {"HOME": str(root / "home"), "XDG_CACHE_HOME": str(root / "home"), "TMPDIR": str(root / "tmp")}
        os.environ.pop("GEDI_NESY_DATA", None)
        tempfile.tempdir = None

    def seen(self) -> dict[Path, tuple[int, int]]:
        """Every file outside what a case may write in, with size and time."""
        kept = [*self.root.iterdir(), *self.outside.iterdir(), *self.run.rglob("*"), *HERE.parent.glob("*/*")]
        return {p: (s.st_size, s.st_mtime_ns) if p.is_file() else (0, 0) for p in kept for s in [p.stat()]}

    def clean(self) -> None:
        """Empty what the cases may write in."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        (self.work / ".py").write_text((self.outside / "code.py").read_text())


class Payload:
    """What a hostile pickle holds: unpickled, it creates a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.path}",)


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Some bytes changed, cut off, left out or doubled; near the beginning, where headers are, more often."""
    for _ in range(rng.choice([1, 1, 3, 20])):
        at = rng.randrange(max(1, min(len(data), rng.choice([20, 200, len(data)]))))
        length = rng.choice([1, 4, 50])
        new = rng.choice([rng.randbytes(length), b"", b"\xff" * length, b"\0" * length, data[at : at + length] * 2])
        data = data[:at] + new + data[at + length :]
    return data[: rng.randrange(len(data) + 1)] if rng.random() < 0.15 else data


def programs(rng: random.Random, place: Place) -> Case:
    """A program of the package with characters changed, or a random one, compiled with the query that it has or `q`."""
    if rng.random() < 0.4:
        file = rng.choice(sorted((HERE.parent / "programs").glob("*.pl")))
        letters, query = list(file.read_text()), None
        for _ in range(rng.randint(1, 4)):
            letters[rng.randrange(len(letters))] = rng.choice([*"()[],.:-'\"\\|;x1_X% \n~{}é\0", "::", "nn(", "%" * 9])
        text = "".join(letters)
    else:
        body, query = ", ".join(rng.choices(GOALS, k=rng.randint(1, 3))), "q"
        libraries = "".join(f":- use_module(library({name})). " for name in ("lists", "apply", "string", "control"))
        text = libraries * rng.randint(0, 1) + RULE + f"q :- {body}, d(a,Z). "
        text += f"{rng.choice(HEADS)} {rng.choice([':- ', ', ', ''])}{rng.choice(GOALS)}. " * rng.randint(0, 1)
    return text, lambda: Constraint(text, query, seconds=1, max_nodes=20_000, folder=place.work)


def settings(rng: random.Random, place: Place) -> Case:
    """`--set KEY=VALUE` for any recipe of both tracks, or such a recipe's file damaged."""
    names, load = rng.choice([(recipe_names(), load_recipe), (vision_recipe_names(), load_vision_recipe)])
    name, file = rng.choice(names), place.work / "mine.toml"
    keys = [*flatten(load(name).model_dump()), "train", "base", "recipe", "a.b.c"]
    pairs = [f"{rng.choice(keys)}={rng.choice(WORDS)}" for _ in range(rng.choice([1, 1, 3]))]
    if rng.random() < 0.3:
        text = f'base = "{rng.choice([name, "mine", str(file)])}"\n' + load(name).to_toml()
        file.write_bytes(damaged(rng, text.encode()))
        name = str(file)
    return f"{name} {pairs}", lambda: load(name, dict(map(parse_setting, pairs)))


def tables(rng: random.Random, place: Place) -> Case:
    """A table for a given sum: cells replaced, bytes damaged."""
    Image.new("L", (28, 28), 99).save(place.work / "1.png")
    (place.work / "eps.png").write_bytes(EPS.replace(b"CANARY", bytes(place.canary)))
    cells = ["1.png", "eps.png", "../outside/sentinel", "[1", "'7'", "f(X)", "call(X)", '"', "1;2", ".", *WORDS]
    rows = [["X", "Y", "S"], *(["1.png", "1.png", str(rng.randint(0, 18))] for _ in range(rng.randint(0, 4)))]
    for _ in range(rng.randint(0, 3)):
        rng.choice(rows)[rng.randrange(3)] = rng.choice(cells)
    separator = rng.choice([",", ",", ",", ";"])
    text = "\n".join(separator.join(row) for row in rows).encode()
    path = place.work / "table.csv"
    path.write_bytes(damaged(rng, text) if rng.random() < 0.4 else text)
    rule = Constraint.from_file("addition_sum", arguments=("S",))
    return repr(path.read_bytes()[:300]), lambda: read_table(path, rule)


def npz(rng: random.Random, place: Place) -> Case:
    """An .npz file: arrays of wrong shapes and types, pickles, bytes damaged; read as images and as points."""
    kinds = [np.uint8, np.int64, np.float32, np.uint64, np.complex64, "U3", bool, "datetime64[s]", [("a", "u1")]]
    arrays: dict[str, Any] = {f"x_{part}": np.zeros((6, 28, 28), np.uint8) for part in ("train", "test")}
    arrays |= {f"y_{part}": np.arange(6) % 3 for part in ("train", "test")}
    for _ in range(rng.randint(0, 3)):
        shape, key = rng.choices([0, 1, 2, 6, 28], k=rng.randint(0, 5)), rng.choice([*arrays, "classes", "../x", "z"])
        arrays[key] = np.zeros(shape, rng.choice(kinds))
    hostile = {"x_train": np.array([Payload(place.canary)], object)}
    arrays |= rng.choice([{}, {}, {"y_train": np.full(6, 10**9)}, hostile])
    path = place.work / "some.npz"
    rng.choice([np.savez, np.savez_compressed])(path, **arrays)
    if rng.random() < 0.5:
        path.write_bytes(damaged(rng, path.read_bytes()))
    read = rng.choice([lambda: load_images(str(path)), lambda: load_points(str(path), n=5, seed=0, noise=0.1)])
    return str({key: (value.shape, str(value.dtype)) for key, value in arrays.items()}), read


def idx(rng: random.Random, place: Place) -> Case:
    """An IDX file, zipped or not: sizes that are not there, bytes damaged, a zip bomb."""
    sizes = [rng.choice([0, 1, 3, 2**16, 2**32 - 1]) for _ in range(rng.choice([1, 3, 3, 255]))]
    good = bytes([0, 0, 8, len(sizes) % 256]) + b"".join(size.to_bytes(4, "big") for size in sizes) + bytes(9)
    good = rng.choice([good, bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 3]) + bytes(9)])
    data = gzip.compress(good) if (zipped := rng.random() < 0.5) else good
    data = damaged(rng, data) if rng.random() < 0.6 else data
    if bomb := zipped and rng.random() < 0.02:
        data = gzip.compress(good) + gzip.compress(bytes(2**25)) * 100
    path = place.work / ("images.gz" if zipped else "images")
    path.write_bytes(data)
    return ("bomb " * bomb) + repr(data[:200]), lambda: read_idx(path)


def images(rng: random.Random, place: Place) -> Case:
    """Image files: damaged, under another format's ending, of a huge size, an EPS named .png."""
    buffer, kind = io.BytesIO(), rng.choice(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
    mode = rng.choice(["L", "RGB"] if kind in ("JPEG", "WEBP") else ["L", "RGB", "1"])
    Image.new(mode, (rng.choice([1, 28, 300]), rng.choice([1, 28])), 1).save(buffer, kind)
    data = buffer.getvalue()
    if kind == "PNG" and rng.random() < 0.3:  # its header promises many pixels
        header = b"IHDR" + rng.choice([2**31 - 1, 170_000_000]).to_bytes(4, "big") + data[20:29]
        data = data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]
    data = rng.choice([damaged(rng, data), damaged(rng, data), data, EPS.replace(b"CANARY", bytes(place.canary))])
    path = place.work / f"image.{rng.choice(['png', 'jpg', 'gif', 'bmp', 'tif', 'eps', 'PNG', 'npz', 'x'])}"
    path.write_bytes(data)
    read = rng.choice([lambda: read_image(path, (28, 28)), lambda: read_unlabelled_folder(place.work)])
    return f"{kind} {mode} {path.name} {data[:100]!r}", read


def runs(rng: random.Random, place: Place) -> Case:
    """A finished run with one file damaged, or a value in it changed: loaded, reported, resumed."""
    folder, name = place.work / "run", rng.choice(FILES)
    shutil.copytree(place.run, folder)
    data, how = (folder / name).read_bytes(), rng.choice(["bytes", "bytes", "value", "pickle", "link"])
    if how == "value":
        mark = rng.choice([b":", b"=", b",", b"\n"])
        words = data.split(mark)
        words[rng.randrange(len(words))] = rng.choice(DAMAGE)
        data = mark.join(words)
    elif how == "pickle":
        data = pickle.dumps({"phase": Payload(place.canary)})
    (folder / name).write_bytes(damaged(rng, data) if how == "bytes" else data)
    if how == "link":
        (folder / name).unlink()
        (folder / name).symlink_to(rng.choice([place.outside / "sentinel", Path("/dev/zero"), folder]))
    uses: dict[str, Callable[[], object]] = {
        "load": lambda: load_run(folder).predict(np.zeros((2, 28, 28), np.uint8)),
        "report": lambda: rewrite_report(folder),
        "resume": lambda: resume(folder, notify=lambda text: None, progress=False),
    }
    verb = rng.choice(["load", "report"] if name in ("summary.json", "model.safetensors") else list(uses))
    if verb == "resume":
        (folder / "summary.json").unlink()
    return f"{verb} {name} {how} {data[:200]!r}", uses[verb]


def commands(rng: random.Random, place: Place) -> Case:
    """A command of the package with some of its own options and any values."""
    folder = place.work / "run"
    shutil.copytree(place.run, folder)
    line = [rng.choice(COMMANDS)]
    command = command_line.get_command(click.Context(command_line), line[0])
    if isinstance(command, click.Group):
        line.append(rng.choice([name for name in sorted(command.commands) if name != "compare"]))
        command = command.commands[line[-1]]
    assert command is not None
    places = [str(folder), "nowhere", "a/b", "addition", "digits", "moons", str(place.outside / "sentinel")]
    for argument in (p for p in command.params if isinstance(p, click.Argument)):
        line.append(str(folder) if argument.name == "run" else rng.choice(WORDS + places))
    if line == ["train"]:
        line += [f"--set={key}={value}" for key, value in TINY.items()]
    elif line[-1] == "train":
        line += ["--set=train.steps=2", "--dataset=moons", "--set=seeds=1"]
    options = [p for p in command.params if isinstance(p, click.Option) and p.name != "trust"]
    for option in rng.sample(options, k=min(len(options), rng.randint(0, 3))):
        line += [option.opts[0]] if option.is_flag else [option.opts[0], rng.choice(WORDS + places)]
    return repr(line), lambda: _run_command(line)


def _run_command(line: list[str]) -> None:
    result = CliRunner().invoke(command_line, line)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 1, 2), f"exit code {result.exit_code}"
    if result.exit_code:
        raise UserError(result.output)


KINDS = {make.__name__: make for make in (programs, settings, tables, npz, idx, images, runs, commands)}


def outcome(kind: str, seed: int, number: int, place: Place) -> dict[str, str]:
    """Run one case: accepted, refused or failed, and in the last case what and where."""
    rng, place_before = random.Random(f"{seed}-{kind}-{number}"), place.seen()
    place.clean()
    os.chdir(place.work)
    case, call = KINDS[kind](rng, place)
    result = {"case": case, "outcome": "accepted"}
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            call()
    except UserError as error:
        said = str(error).strip()
        result["outcome"] = "refused" if said and "Traceback" not in said else f"failed: says {said[:300]!r}"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        result["outcome"] = (
            f"failed: {type(error).__name__} {str(error)[:200]} in {Path(where.filename).name} {where.lineno}"
        )
    if place.seen() != place_before:
        place.canary.unlink(missing_ok=True)
        result["outcome"] = "failed: a file outside its folder was changed"
    if (
        peak := max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ) > 2**21:
        result["outcome"] = f"failed: {peak / 2**20:.1f} GB"
    return result


def work(kind: str, seed: int, numbers: range, place: Place, pipe: Connection) -> None:
    """The worker: one case after the other, with 2 GB beside what the process has mapped already."""
    warnings.simplefilter("ignore")
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MOST_MEMORY, mapped + MOST_MEMORY))
    for number in numbers:
        pipe.send(outcome(kind, seed, number, place))


def run_kind(kind: str, seed: int, cases: int, place: Place) -> list[dict[str, str]]:
    """The outcomes of all cases of a kind; a worker that hangs or dies is replaced."""
    results: list[dict[str, str]] = []
    while len(results) < cases:
        mine, its = multiprocessing.Pipe()
        rest = range(len(results), cases)
        worker = multiprocessing.get_context("fork").Process(target=work, args=(kind, seed, rest, place, its))
        worker.start()
        its.close()
        try:
            while len(results) < cases:
                if not mine.poll(BUDGET):
                    results.append({"case": "?", "outcome": f"failed: more than {BUDGET:.0f} s"})
                    break
                results.append(mine.recv())
                if "GB" in results[-1]["outcome"]:
                    break  # the peak of a process never falls
        except EOFError:
            worker.join()
            results.append({"case": "?", "outcome": f"failed: the process died with {worker.exitcode}"})
        worker.kill()
        worker.join()
    return results


@click.command(cls=Script)
@click.option("--seed", default=0, show_default=True)
@click.option("--cases", type=click.IntRange(1), help="Of each kind.  [default: 80 to 600, 2000 in all]")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(KINDS)), help="Repeatable.  [default: all]")
@out_option("fuzz.json")
def main(seed: int, cases: int | None, kinds: tuple[str, ...], out: Path) -> None:
    """Run the cases and store their outcomes; the exit code is 1 if any failed."""
    out, start = out.resolve(), time.monotonic()
    summary: dict[str, dict[str, int]] = {}
    failures: list[dict[str, Any]] = []
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        place = Place(Path(root).resolve())
        train("gedi-nesy-restarts", out=place.run, progress=False, notify=lambda text: None, **TINY)
        for kind in kinds or CASES:
            results = run_kind(kind, seed, cases or CASES[kind], place)
            summary[kind] = dict(Counter(row["outcome"].split(":")[0] for row in results)) | {"cases": len(results)}
            failures += [
                {"kind": kind, "number": n} | row for n, row in enumerate(results) if "failed" in row["outcome"]
            ]
            print(f"{time.monotonic() - start:.0f} s", kind, summary[kind], flush=True)
            result = {
                "command": command(),
                "seed": seed,
                "cases": sum(row["cases"] for row in summary.values()),
                "kinds": summary,
                "failures": failures,
                "seconds": round(time.monotonic() - start),
                **provenance(torch.device("cpu")),
            }
            out.write_text(json.dumps(result, indent=1).replace(str(place.root), "") + "\n")
        os.chdir(HERE)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
