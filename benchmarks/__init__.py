"""Speed and quality side by side with the usual ways, measured in one run on this machine."""
