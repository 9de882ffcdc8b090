"""Streamlit's server without what no option turns off: it asks an outside website for this machine's own address."""

from streamlit import net_util
from streamlit.web.cli import main

# It would ask whenever a page of another origin knocks, so any website that somebody visits could make it.
for asking in ("get_external_ip", "get_internal_ip"):
    setattr(net_util, asking, lambda: None)

if __name__ == "__main__":
    main(prog_name="streamlit")
