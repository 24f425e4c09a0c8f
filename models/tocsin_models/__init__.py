"""Text in, labelled passages and a summary with receipts out. Start reading at ``analyse.py``."""
