"""The analysis, brought to people and programs."""
