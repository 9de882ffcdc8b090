"""The front doors: they parse and draw; they decide nothing."""
