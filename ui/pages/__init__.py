"""The app's pages, one file each. A page knows no other page.

Read first: `home.py` and `chat.py`.
"""
