"""A base model: its files, the prompt it reads, and the engines that run it. Knows nothing of retrieval.

Read first: `engine.py`, what every engine does, and `prompt.py`, the only text that a model sees.
"""
