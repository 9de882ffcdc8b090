"""A report drawn for people: as a page, as Markdown, in the terminal, and as files for other programs.

Read first: `pages.py`.
"""
