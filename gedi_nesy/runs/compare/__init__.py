"""Comparisons: trials, each a run in a process of its own, and the scheduler that starts and watches them."""
