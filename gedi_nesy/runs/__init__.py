"""The life of a run: its folder, its settings, its device, its callbacks and its session."""
