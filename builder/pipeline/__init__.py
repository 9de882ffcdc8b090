"""A build: its stages, its plan, and the experiments that build again with one change.

Read first: `stages.py`.
"""
