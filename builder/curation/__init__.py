"""What people decide: edits, questions, feedback, and the audit of all that was written.

Read first: `editing.py` and `audit/audit.py`.
"""
