"""A question to a reply: one composition that answers as four systems. Knows nothing of scores or training.

Read first: `assistant.py`.
"""
