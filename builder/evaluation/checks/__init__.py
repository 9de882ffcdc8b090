"""Checks of one adapter: is it served as trained, what it forgot, what it memorised; and the gates of a release.

Read first: `gates.py`.
"""
