"""What is wrong with a workspace's data, found before time is spent on training.

Read first: `audit.py`, which runs all checks, and `finding.py`.
"""
