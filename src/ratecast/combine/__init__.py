"""What stands between a model's members and its answer: blending, the effects of other columns, intervals and decoding."""
