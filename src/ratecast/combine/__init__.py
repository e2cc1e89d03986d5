"""What stands between the members of a model and its answer: blending, other columns, intervals and decoding."""
