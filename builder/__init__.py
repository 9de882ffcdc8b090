"""An assistant: its brand, examples, weights, engine, scores and releases. Knows nothing of pages or HTTP.

The packages in the order in which data flows: `workspace`, `scoring` and `model`, `answering`, `training`,
`evaluation`, `report` and `curation`, `pipeline`; each imports only those before it.
Read first: `pipeline/stages.py`, how an assistant is built, and `answering/assistant.py`, how it answers.
"""

import knowledge as knowledge  # before torch and llama.cpp: see knowledge.machine
