"""Scores of single replies, and the statistics over many. Knows nothing of engines or systems.

Read first: `text.py`, which holds what all scores share, and `facts.py`.
"""
