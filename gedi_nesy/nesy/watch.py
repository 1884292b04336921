"""What happens after a training step: see `gedi_nesy.watch`."""

from gedi_nesy.watch import Interrupted, Logger, Saver

__all__ = ["Interrupted", "Logger", "Saver"]
