"""Systems and questions to a report with a verdict. Knows nothing of how a report is drawn.

Read first: `evaluate.py` and `verdict.py`.
"""
