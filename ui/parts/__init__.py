"""What the app's pages share. Knows no page.

Read first: `session.py`, the open assistants, and `show.py`, which draws text as data.
"""
