"""A text's structure, sentences and words. Knows nothing of files or indexes.

Read first: `structure.py`.
"""
