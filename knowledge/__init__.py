"""Documents to passages one can find again, and how sure one may be. Knows nothing of language models."""
