"""What the user wrote, read and checked, and where everything built from it is. Knows nothing of models.

Read first: `folder.py` and `brand.py`.
"""
