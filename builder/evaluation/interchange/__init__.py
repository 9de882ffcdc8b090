"""Questions and replies from other evaluation tools, and reports for them.

Read first: `imports.py`.
"""
