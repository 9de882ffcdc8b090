"""One family of scores a file; each score carries its evidence, and unscored is not zero."""
