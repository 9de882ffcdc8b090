"""The Streamlit app: `streamlit run ui/app.py -- DIR`; opens the chosen page and shows a user's errors."""

import streamlit as st
from streamlit.navigation.page import Page

from builder.workspace.folder import Workspace
from knowledge.errors import UserError
from ui.parts.frame import dress
from ui.parts.session import chosen
from ui.parts.show import fault, plain
from ui.parts.sign_in import admitted, greet

# Sections of the menu, and the files in them; the first is the page that opens.
PAGES = {"": ("home", "chat", "compare"), "Make": ("brand", "examples", "documents", "build"),
         "Judge": ("questions", "report"), "Run": ("releases", "feedback")}


def main() -> None:
    """Draw the frame and the page in it."""
    inside, folder = admitted(), chosen()
    page = st.navigation(_menu(), position="top" if inside and folder else "hidden")
    narrow = page.title in ("Home", "Chat", "Feedback")
    try:
        here = Workspace(folder) if folder else None
        name = here.brand.name if here else "Twofold"
        st.set_page_config(page_title=f"{page.title} · {name}", layout="centered" if narrow else "wide")
        if here:
            dress(here)
        greet(name)
        if not inside:
            return
        if here and page.title not in ("Home", "Chat"):
            st.caption(plain(name))
        if folder is None and page.title != "Home":
            st.switch_page("views/home.py")  # there is no assistant that the others could be about
        page.run()
    except UserError as error:
        if inside:
            fault(error)
        else:
            greet("Twofold")


def _menu() -> dict[str, list[Page]]:
    # No icons: Streamlit would fetch a page's icon from outside, to show it in the browser's tab.
    return {section: [st.Page(f"views/{name}.py", title=name.capitalize(), default=name == "home") for name in names]
            for section, names in PAGES.items()}


main()
