"""A script for each peer of the contest; beside it the packages of its environment, where it needs one of its own."""
