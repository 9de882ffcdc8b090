"""Examples to an adapter. Knows nothing of evaluation or releases.

Read first: `mix.py`, which makes the training rows, and `recipe.py`, a whole training.
"""
