"""What more than one model, or more than the text, adds to a prediction."""
