"""Documents to passages, an index over them, and what it finds for a question. Knows nothing of language models.

Read first: `index.py` and `retriever.py`.
"""
