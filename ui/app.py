"""The Streamlit app: `streamlit run ui/app.py -- WORKSPACE`; opens the chosen page and shows a user's errors."""

import streamlit as st

from knowledge.errors import UserError
from ui.session import workspace
from ui.show import fault


def main() -> None:
    """Draw the frame and the page in it."""
    # No icons: Streamlit would fetch a page's icon from outside, to show it in the browser's tab.
    pages = [st.Page("chat.py", title="Chat", default=True), *(
        st.Page(f"{name}.py", title=name.capitalize())
        for name in ("compare", "documents", "questions", "training", "report", "releases"))]
    chosen = st.navigation(pages, position="top")
    try:
        st.set_page_config(page_title=f"{chosen.title} · {workspace().brand.name}",
                           layout="centered" if chosen is pages[0] else "wide")
        chosen.run()
    except UserError as error:
        fault(error)


main()
