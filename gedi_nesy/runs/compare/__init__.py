"""Comparisons: trials, each in a process of its own, and what came of them."""
