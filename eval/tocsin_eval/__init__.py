"""Models in, numbers with intervals out."""
