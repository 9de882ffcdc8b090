"""Documents to passages one can find again, and how sure one may be. Knows nothing of language models.

`text` knows a text's structure, `reading` turns files into documents, `search` finds their passages.
Read first: `reading/documents.py`, then `search/retriever.py`.
"""

from knowledge import machine as machine  # before any library that computes: it tells their threads how to wait
