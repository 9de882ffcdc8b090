"""An assistant: its brand, examples, weights, engine, score and releases. Knows nothing of pages or HTTP."""
