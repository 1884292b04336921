"""The vision track: self-supervised clustering and energy models without a rule."""
