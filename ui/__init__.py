"""The front doors: the Streamlit app, the command line, the HTTP API. They parse and draw; they decide nothing.

Read first: `app.py` and `cli/main.py`.
"""
