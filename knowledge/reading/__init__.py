"""Files in many formats to documents, which are Markdown text with headings. Knows nothing of passages or search.

Read first: `documents.py`, which reads a folder, and `formats.py`, which names the reader of each format.
"""
