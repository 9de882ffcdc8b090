"""The command line: reads what the user asks for, calls the builder, prints what it says.

Read first: `main.py`.
"""
