"""Networks by name, and the heads on top of encoders."""
