"""A user's own network: from a file, `file.py:factory`, or from Python, a module class or a function.

Both are called as `factory(input_shape, classes)`, with (C, H, W) or (D,) and the number of symbols, and return an
`nn.Module` that gives logits, [batch, classes]. Its features are the vectors of the module's own method `features`, if
it has one, otherwise the input of its last linear layer; where there is neither, they are the logits.

A saved run keeps `describe(network)`, so that `network_factory` makes the same network again: a name as it is, a file
by its whole path, a class or function of Python by its module and name. This needs trust, because the file is executed.
"""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from gedi_nesy.errors import UserError
from gedi_nesy.networks.build import Factory, Shape, named_factory
from gedi_nesy.networks.classifier import Classifier, split_last_layer

Network = str | Callable[[Shape, int], nn.Module]  # as a user names it
TRIAL = 2  # inputs on which a new network is tried


def network_factory(network: Network, *, trust: bool = False, dropout: float = 0.0) -> Factory:
    """The factory of fresh networks of this kind.

    Args:
        network: a name of `networks.build`, "file.py:factory", "module:factory", or a module class or function.
        trust: allow a file or module to be executed.
        dropout: as `named_factory`.

    Returns:
        A factory whose networks give logits and have `features`; it raises UserError where a network does not fit its
        inputs or its classes.

    Raises:
        UserError: there is no such network, or it would need trust.
    """
    if not isinstance(network, str):
        return partial(_checked, network, describe(network))
    if ":" not in network:
        return named_factory(network, dropout)
    if not trust:
        raise UserError(
            f"The network {network} is code that would be executed; look at it and say --trust (in Python trust=True)."
        )
    return partial(_checked, _load(network), network)


def describe(network: Network) -> str:
    """How a saved run names a network, so that it can be made again.

    A name stays as it is, "file.py:factory" gets the file's whole path, and a class or function of Python becomes
    "module:name".

    Raises:
        UserError: it is no name and no class or function.
    """
    if isinstance(network, nn.Module):
        kind = type(network).__name__
        raise UserError(f"The network is one {kind}, and restarts need fresh ones; give the class or a function.")
    if not isinstance(network, str):
        if not callable(network) or not hasattr(network, "__qualname__"):
            raise UserError(f"The network is {network!r}; give a name, or a class or function, which has one.")
        return f"{network.__module__}:{network.__qualname__}"
    where, colon, name = network.rpartition(":")
    return f"{Path(where).expanduser().resolve()}:{name}" if colon and where.endswith(".py") else network


def _load(network: str) -> Factory:
    """The factory in a file or module, "where:name"."""
    where, _, name = network.rpartition(":")
    try:
        target = _execute(Path(where).expanduser()) if where.endswith(".py") else importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name == where:
            raise _gone(network, str(error)) from error
        raise UserError(f"{where} fails when it is executed: {_said(error)}.") from error
    except FileNotFoundError as error:
        raise _gone(network, str(error)) from error
    except Exception as error:  # whatever the user's code raises
        raise UserError(f"{where} fails when it is executed: {_said(error)}.") from error
    for part in name.split("."):
        if not hasattr(target, part):
            raise _gone(network, f"{where} defines no {name}")
        target = getattr(target, part)
    if not callable(target):
        raise UserError(f"{network} is no class or function that makes a network; name one.")
    factory: Factory = target
    return factory


def _gone(network: str, why: str) -> UserError:
    name = network.rpartition(":")[2].split(".")[-1]
    again = f"of a saved run put it back, or give it again (in Python load_run(folder, network={name}))"
    return UserError(f"The network {network} is not there ({why}); name one that is, or {again}.")


def _execute(path: Path) -> object:
    """The module that a file defines, executed afresh."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    name = f"gedi_nesy_own_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _checked(factory: Factory, name: str, shape: Shape, classes: int) -> nn.Module:
    """The factory's network with `features`, tried on a few inputs."""
    x = torch.rand(TRIAL, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    try:
        network = factory(shape, classes)
        if not isinstance(network, nn.Module):
            raise UserError(f"{name} returns {type(network).__name__}, and must return a torch.nn.Module.")
        with torch.no_grad():
            logits = network.eval()(x)
    except UserError:
        raise
    except Exception as error:  # whatever the user's code raises
        given = f"input_shape {shape} and {classes} classes"
        raise UserError(f"{name} fails for {given}: {_said(error)}.") from error
    _check_logits(logits, name, classes, x)
    network.train()
    if _has_features(network, x):
        return network
    return split_last_layer(network, x) or Classifier(network.train(), nn.Identity())


def _check_logits(logits: object, name: str, classes: int, x: Tensor) -> None:
    if not isinstance(logits, Tensor) or logits.shape != (len(x), classes):
        given = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        wanted = f"it must give logits [{len(x)}, {classes}]"
        raise UserError(f"The network of {name} gives {given} for inputs {list(x.shape)}; {wanted}.")
    total = torch.ones(len(x))
    if classes > 1 and any(torch.allclose(p.float().sum(1), total, atol=1e-4) for p in (logits, logits.exp())):
        raise UserError(f"The network of {name} ends in a softmax; let it give logits, without one.")


@torch.no_grad()
def _has_features(network: nn.Module, x: Tensor) -> bool:
    """Whether the module has a method of this name that gives vectors; VGG of torchvision has a submodule instead."""
    method = getattr(network, "features", None)
    if method is None or isinstance(method, nn.Module) or not callable(method):
        return False
    features = method(x)
    return isinstance(features, Tensor) and features.dim() == 2 and len(features) == len(x)


def _said(error: Exception) -> str:
    """An error's kind and the first line of its message."""
    first = (str(error).strip().splitlines() or ["without a message"])[0].rstrip(".")
    return f"{type(error).__name__}, {first}"
