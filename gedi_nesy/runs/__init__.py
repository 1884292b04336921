"""The life of a run, once for both tracks: folder, settings, device, callbacks, comparison."""
