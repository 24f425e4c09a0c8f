"""Labelled articles in, a model directory out."""
