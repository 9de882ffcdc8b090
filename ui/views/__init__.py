"""The app's pages, a file each: they parse and draw, and call one function of builder/ for each button.

The folder is not called pages/: Streamlit would take every file in it for a page that anyone may open, without
app.py, and so without the sign-in. Read first: home.py.
"""
