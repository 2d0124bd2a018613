"""What operators are alerted of: which conditions hold, and who was told of each, once."""
