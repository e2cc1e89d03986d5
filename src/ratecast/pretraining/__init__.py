"""Pretraining on unlabelled reviews."""
