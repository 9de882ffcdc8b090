"""Training rows to an adapter: what learns, how it is made quick, and how it carries on where it was stopped."""
